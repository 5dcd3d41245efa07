"""A first session: simulate, look at a gradient, fit. Each part between `# %%` lines is a cell for an editor or notebook."""

# %% Spread of news: aware sites over time, mean of 20 runs
import latgrad

states = latgrad.simulate({"model": "si", "lattice.height": 32, "lattice.width": 32}, steps=20, every=5,
                          params={"beta": 0.2}, replicates=20)
for step, aware in zip(range(0, 21, 5), states.mean(axis=(1, 2, 3, 4, 5))):
    print(f"step {step:2d}: {aware:.3f} of the sites are aware")

# %% A random walk, its loss and gradient at the start
walk = {
    "model": "prw",
    "data.generate": {"params": {"p_center": 0.3, "p_resample": 0.6}, "runs": 20000},
    "params": {"p_center": {"start": 0.7}, "p_resample": {"start": 0.7}},
    "optimizer": {"name": "adam", "lr": 0.05},
    "replicates": 1000,
    "iterations": 1000,
}
problem = latgrad.Problem(walk)
loss, gradient = problem.grad()
print(f"loss {loss[0]:.1f}, gradient of the logits {gradient[0].round(2)}")

# %% The fit
result = problem.fit()
for name, (mean, sd) in result.tail(100).items():
    print(f"{name}: {mean:.3f} +- {sd:.3f}")
