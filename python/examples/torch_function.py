"""The loss as a node of a PyTorch graph: backward() hands on the library's approximate gradient."""

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
