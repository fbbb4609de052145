#!/usr/bin/env python3
"""Writes src/training/adamw_golden.inc: what PyTorch's AdamW does to four numbers. Needs torch."""
import pathlib

import torch

value = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.AdamW([value], lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
lines = []
for step in range(1, 11):
    value.grad = 3 * value.detach()
    optimizer.step()
    if step in (1, 2, 10):
        lines.append("    {" + ", ".join(repr(x) for x in value.tolist()) + "},\n")
path = pathlib.Path(__file__).parent.parent / "src/training/adamw_golden.inc"
path.write_text("".join(lines))
