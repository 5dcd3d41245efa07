"""The loss as a node of a PyTorch graph: backward() hands on the library's approximate gradient. Then a loss that is written
in PyTorch: its autograd gives the derivatives with respect to the states, and the library those of the parameters."""

import sys

import latgrad

try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing was done")
    sys.exit(0)


class Loss(torch.autograd.Function):
    """Loss of a problem with one fit; gradients with respect to its parameters (PRW: to their logits)."""

    @staticmethod
    def forward(ctx, params, problem, iteration):
        loss, gradient = problem.grad(params.detach().double().cpu().numpy(), iteration)
        ctx.save_for_backward(torch.from_numpy(gradient[0]).to(params))
        return params.new_tensor(loss[0])

    @staticmethod
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


problem = latgrad.Problem(
    {"model": "si", "lattice.height": 32, "lattice.width": 32, "data.generate.params.beta": 0.2, "params.beta.start": 0.5}
)
beta = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([beta], lr=0.01)
for iteration in range(100):
    optimizer.zero_grad()
    Loss.apply(beta, problem, iteration).backward()
    optimizer.step()
print(f"beta: {beta.item():.2f}")


# The mean distance from the start after 2 and after 10 steps, instead of a loss of the library
walk = latgrad.Problem({"model": "prw", "task": "simulate", "device": "cpu", "steps": 10, "replicates": 1000})
seen = torch.tensor([2.10, 8.08])  # of p_center = 0.3, p_resample = 0.2


def distance_loss(states):
    positions = torch.tensor(states, dtype=torch.float32, requires_grad=True)  # [replicates, recorded, 2]
    distance = (positions.square().sum(-1) + 1e-12).sqrt().mean(0)
    loss = ((distance / seen - 1) ** 2).sum()
    loss.backward()
    return loss.item(), positions.grad.numpy()


walk.set_loss(distance_loss, steps=[2, 10])
logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([logits], lr=0.05)
for iteration in range(200):
    optimizer.zero_grad()
    # gradients of the random walk are those of the logits
    _, gradient = walk.grad(torch.sigmoid(logits).detach().numpy(), iteration)
    logits.grad = torch.from_numpy(gradient[0])
    optimizer.step()
print("p_center, p_resample:", [round(p, 1) for p in torch.sigmoid(logits).tolist()])
