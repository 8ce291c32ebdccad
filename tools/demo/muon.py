"""Muon in fp32: torch.optim.Muon orthogonalizes in bf16, which a CPU without bf16 arithmetic computes very slowly."""
import torch


def orthogonalized(updates):
    """The nearest matrices with equal singular values of [n, rows, columns], roughly: five Newton-Schulz steps."""
    x = updates / (updates.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    turned = x.shape[-2] > x.shape[-1]
    if turned:
        x = x.mT
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if turned else x


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalized, for matrices alone (Jordan et al. 2024); rates as Moonlight scales them,
    so that they are AdamW's (Liu et al. 2025, 0.2 * sqrt(longer side)).

    A matrix of three times as many rows as columns stands for three (qkv), each of which is orthogonalized.
    """

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            alike = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                held = self.state[p].setdefault("momentum", torch.zeros_like(p))
                held.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(held, group["momentum"])
                parts = 3 if p.shape[0] == 3 * p.shape[1] else 1
                for weight, piece in zip(p.chunk(parts), update.chunk(parts)):
                    alike.setdefault(weight.shape, []).append((weight, piece))
            for shape, pairs in alike.items():
                steps = orthogonalized(torch.stack([piece for _, piece in pairs]))
                for (weight, _), step in zip(pairs, steps):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.sub_(step, alpha=group["lr"] * 0.2 * max(shape) ** 0.5)
