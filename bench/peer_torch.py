#!/usr/bin/env python3
"""The models in plain PyTorch: what a careful user would write without this library, for comparison.

    peer_torch.py [--device cpu|cuda] [--quick]

Each gradient goes through autograd: the straight-through trick is y = hard - soft.detach() + soft. One tensor operation at a
time over the whole batch, as eager PyTorch runs it; no custom kernels, no compilation. Prints CSV lines with the columns of
bench/throughput.c. Exit status 77 where PyTorch cannot be imported.
"""
import argparse
import statistics
import sys
import time

try:
    import torch
except ImportError:
    print("PyTorch is not installed", file=sys.stderr)
    sys.exit(77)

SQRT2 = 2.0**0.5
OFFSETS = [(r - 1, c - 1) for r in range(3) for c in range(3)]


def ste(p, u):
    """1 where p > u; the gradient passes to p unchanged."""
    return (p > u).to(p.dtype) + p - p.detach()


def gumbel_softmax(logits, tau=1.0):
    """One-hot draw whose gradient is that of the softmax."""
    noise = -torch.log(-torch.log(torch.rand_like(logits).clamp(1e-7, 1 - 1e-7)))
    soft = torch.softmax((logits + noise) / tau, dim=-1)
    hard = torch.nn.functional.one_hot(soft.argmax(-1), logits.shape[-1]).to(soft.dtype)
    return hard + soft - soft.detach()


def mk_diffuse(n, D, capacity):
    """n: [R, H, W]. One excited particle a site at most, one direction a lattice."""
    p = n / capacity
    hard = (p > torch.rand_like(n)).to(n.dtype)
    inner = ((n > 0) & (n < capacity)).to(n.dtype)
    excited = hard + inner * (n - n.detach())
    f = SQRT2 - 1.0
    side, corner = torch.log(D * f * SQRT2 / 4), torch.log(D * f / 4)
    stay = torch.log(1 - D)
    logits = torch.stack([corner, side, corner, side, stay, side, corner, side, corner]).expand(n.shape[0], 9)
    kernel = gumbel_softmax(logits)
    moved = sum(kernel[:, q, None, None] * torch.roll(excited, (-dr, -dc), (1, 2)) for q, (dr, dc) in enumerate(OFFSETS))
    return n - excited + moved


def mk_react(n, m, k, gamma, N):
    a, b, c = N - n, N - m, (N - 1) * (N - 2)
    p = torch.stack([
        gamma * k[0] * n * (n - 1) * a / c, gamma * k[0] * n * a * (a - 1) / c, gamma * k[1] * a * m / N,
        gamma * k[1] * n * b / N, gamma * k[2] * a * b / N, gamma * k[2] * n * m / N])
    channel = torch.randint(0, 6, n.shape, device=n.device)
    fired = ste(p.gather(0, channel[None])[0], torch.rand_like(n))
    sign = 1.0 - 2.0 * (channel % 2)
    of_a = (channel < 4).to(n.dtype)
    return n + sign * fired * of_a, m + sign * fired * (1 - of_a)


def mk_run(params, n, m, steps, gamma=0.005, N=50.0):
    for _ in range(steps):
        n, m = mk_diffuse(n, params[0], N), mk_diffuse(m, params[1], N)
        n, m = mk_react(n, m, params[2:], gamma, N)
    return n, m


def si_step(x, beta):
    """x: [R, H, W] of 0 and 1."""
    count = sum(torch.roll(x, (dr, dc), (1, 2)) for dr, dc in OFFSETS if (dr, dc) != (0, 0))
    return x + (1 - x) * ste(1 - (1 - beta) ** count, torch.rand_like(x))


def prw_msd(logits, walkers, steps):
    p = torch.sigmoid(logits)
    side = torch.log((1 - p[0]) / 2)
    velocity = torch.stack([side, torch.log(p[0]), side])
    keep = torch.stack([torch.log(1 - p[1]), torch.log(p[1])])
    values = torch.tensor([-1.0, 0.0, 1.0], device=logits.device)
    v = gumbel_softmax(velocity.expand(walkers, 2, 3)) @ values
    x, msd = torch.zeros_like(v), []
    for _ in range(steps):
        k = gumbel_softmax(keep.expand(walkers, 2, 2))
        v = k[..., 0] * v + k[..., 1] * (gumbel_softmax(velocity.expand(walkers, 2, 3)) @ values)
        x = x + v
        msd.append((x * x).sum(1).mean())
    return torch.stack(msd)


class Bench:
    def __init__(self, device, quick):
        self.device, self.repeats = device, 3 if quick else 5

    def report(self, model, work, replicates, units, unit, call):
        times = []
        try:
            call()
        except torch.cuda.OutOfMemoryError:
            print(f"{model} {work}, {replicates} replicates: out of GPU memory", file=sys.stderr)
            return
        for _ in range(self.repeats):
            self.wait()
            start = time.perf_counter()
            call()
            self.wait()
            times.append(time.perf_counter() - start)
        seconds = statistics.median(times)
        print(f"torch-{self.device},{model},{work},1,{replicates},{seconds:.6g},{units / seconds:.6g},{unit}", flush=True)

    def wait(self):
        if self.device != "cpu":
            torch.cuda.synchronize()

    def mk(self, replicates, tau):
        n0 = torch.full((replicates, 64, 64), 25.0, device=self.device)
        target = torch.randint(15, 35, n0.shape, device=self.device).to(n0.dtype)
        sites = 64 * 64 * replicates * tau

        def forward():
            with torch.no_grad():
                mk_run(torch.tensor([0.1, 0.4, 0.98, 0.1, 0.2], device=self.device), n0, n0, tau)

        def gradient():
            params = torch.tensor([0.1, 0.4, 0.98, 0.1, 0.2], device=self.device, requires_grad=True)
            n, m = mk_run(params, n0, n0, tau)
            torch.log(((n - target) ** 2).sum() + ((m - target) ** 2).sum()).backward()
            if not torch.isfinite(params.grad).all():
                raise ArithmeticError("a gradient of the PyTorch version is not finite")

        self.report("mk", f"64x64 forward tau {tau}", replicates, sites, "site steps/s", forward)
        self.report("mk", f"64x64 gradient tau {tau}", replicates, sites, "site steps/s", gradient)

    def si(self):
        x = (torch.rand(128, 64, 64, device=self.device) < 0.05).float()
        with torch.no_grad():
            observed = si_step(x, 0.2)

        def gradient():
            beta = torch.tensor(0.3, device=self.device, requires_grad=True)
            ((si_step(x, beta) - observed) ** 2).sum().backward()

        self.report("si", "64x64x128 minibatch", 128, 1, "gradients/s", gradient)

    def prw(self):
        logits = torch.tensor([-0.85, 0.0], device=self.device, requires_grad=True)
        target = 1.5 * torch.arange(1, 11, device=self.device)
        adam = torch.optim.Adam([logits], lr=0.001)

        def iteration():
            adam.zero_grad()
            ((prw_msd(logits, 1500, 10) - target) ** 2).sum().backward()
            adam.step()

        self.report("prw", "1500x10 fit iterations", 1500, 1, "gradients/s", iteration)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller batches")
    arguments = parser.parse_args()
    bench = Bench(arguments.device, arguments.quick)
    tau = 10 if arguments.quick else 50
    for replicates in (1, 16) if arguments.quick else (1, 16, 132, 1024):
        bench.mk(replicates, tau)
    bench.si()
    bench.prw()


if __name__ == "__main__":
    main()
