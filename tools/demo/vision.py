"""Qwen3-VL's architecture in plain PyTorch, small: the vision tower of the checkpoint's own weight names beside model.py.

Equal to transformers' Qwen3VLForConditionalGeneration (check_vision.py); batches hold pictures of one size at one place
of their prompts, so that positions and masks are shared.
"""
import dataclasses
import functools

import torch
from torch import nn
from torch.nn import functional as F

from model import Qwen3


@dataclasses.dataclass
class VisionShape:
    """The fields of vision_config that decide the shapes."""
    depth: int = 4
    hidden_size: int = 192
    num_heads: int = 3
    intermediate_size: int = 512
    patch_size: int = 16
    spatial_merge_size: int = 2
    temporal_patch_size: int = 2
    num_position_embeddings: int = 256
    out_hidden_size: int = 256
    deepstack_visual_indexes: tuple = (1, 2)


MROPE_SECTION = (12, 10, 10)


class VisionAttention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads, self.dim = shape.num_heads, shape.hidden_size // shape.num_heads
        self.qkv = nn.Linear(shape.hidden_size, 3 * shape.hidden_size)
        self.proj = nn.Linear(shape.hidden_size, shape.hidden_size)

    def forward(self, x, cos, sin):
        batch, patches, _ = x.shape
        q, k, v = self.qkv(x).view(batch, patches, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4)
        q, k = (one * cos + torch.cat((-one[..., self.dim // 2:], one[..., :self.dim // 2]), -1) * sin for one in (q, k))
        weights = torch.softmax(torch.matmul(q * self.dim ** -0.5, k.transpose(-1, -2)), dim=-1)
        return self.proj(torch.matmul(weights, v).transpose(1, 2).reshape(batch, patches, -1))


class VisionMlp(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.linear_fc1 = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.linear_fc2 = nn.Linear(shape.intermediate_size, shape.hidden_size)

    def forward(self, x):
        return self.linear_fc2(F.gelu(self.linear_fc1(x), approximate="tanh"))


class VisionBlock(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.hidden_size, eps=1e-6)
        self.norm2 = nn.LayerNorm(shape.hidden_size, eps=1e-6)
        self.attn = VisionAttention(shape)
        self.mlp = VisionMlp(shape)

    def forward(self, x, cos, sin):
        x = x + self.attn(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class Merger(nn.Module):
    """Four neighbouring patches to one token; the deepstack's mergers normalise after joining them, the last one before."""

    def __init__(self, shape, after):
        super().__init__()
        self.width, self.after = shape.hidden_size * shape.spatial_merge_size ** 2, after
        self.norm = nn.LayerNorm(self.width if after else shape.hidden_size, eps=1e-6)
        self.linear_fc1 = nn.Linear(self.width, self.width)
        self.linear_fc2 = nn.Linear(self.width, shape.out_hidden_size)

    def forward(self, x):
        x = self.norm(x.reshape(x.shape[0], -1, self.width)) if self.after else self.norm(x).reshape(x.shape[0], -1, self.width)
        return self.linear_fc2(F.gelu(self.linear_fc1(x)))


def cosines(count, side):
    """The first `count` waves of a side x side cosine transform, low frequencies first: [count, 3 * side * side] on the
    brightness of the pixels, the higher ones stronger, since pictures have less of them."""
    waves = torch.cos(torch.pi / side * torch.outer(torch.arange(side), torch.arange(side) + 0.5)) * (2 / side) ** 0.5
    waves[0] /= 2 ** 0.5
    order = sorted(((y, x) for y in range(side) for x in range(side)), key=lambda one: (sum(one), one))[:count]
    rows = torch.stack([torch.outer(waves[y], waves[x]) * (1 + y + x) / (2 * side) for y, x in order])
    return (rows[:, None] / 3).expand(-1, 3, -1, -1).reshape(count, -1)


class Patches(nn.Module):
    """One kernel for both temporal slots: a still picture repeats its pixels, so training needs only their sum."""

    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape.hidden_size, 3 * shape.patch_size ** 2))
        self.bias = nn.Parameter(torch.zeros(shape.hidden_size))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class Vision(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.patch = Patches(shape)
        self.pos_embed = nn.Embedding(shape.num_position_embeddings, shape.hidden_size)
        self.blocks = nn.ModuleList(VisionBlock(shape) for _ in range(shape.depth))
        self.merger = Merger(shape, False)
        self.deepstack_merger_list = nn.ModuleList(Merger(shape, True) for _ in shape.deepstack_visual_indexes)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.trunc_normal_(parameter, std=0.02 if "embed" in name else parameter.shape[1] ** -0.5)
            if name.endswith(("attn.proj.weight", "mlp.linear_fc2.weight")):
                nn.init.normal_(parameter, std=0.02)
        with torch.no_grad():
            self.patch.weight.copy_(cosines(shape.hidden_size, shape.patch_size))
        for merger in self.deepstack_merger_list:  # begin without an effect on the language part
            nn.init.zeros_(merger.linear_fc2.weight)

    def patchify(self, images):
        """uint8 [batch, height, width, 3] to [batch, patches, 768]; the four patches of a token lie together."""
        batch, height, width, _ = images.shape
        x = images.view(batch, height // 32, 2, 16, width // 32, 2, 16, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
        return ((x.reshape(batch, -1, 768).float() - 127.5) / 127.5)

    def coordinates(self, rows, columns):
        """(y, x) of each patch in the order of patchify."""
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        return [one.view(rows // 2, 2, columns // 2, 2).permute(0, 2, 1, 3).reshape(-1) for one in (y, x)]

    @functools.lru_cache(maxsize=64)
    def tables(self, rows, columns, device):
        """(corner ids [4, patches], corner weights [4, patches, 1], cos, sin [patches, head_dim])."""
        y, x = self.coordinates(rows, columns)
        side, dim = round(self.shape.num_position_embeddings ** 0.5), self.shape.hidden_size // self.shape.num_heads
        at, low, high, part = {}, {}, {}, {}
        for name, index, count in (("y", y, rows), ("x", x, columns)):
            at[name] = torch.linspace(0, side - 1, count)[index]
            low[name] = at[name].int().long()
            high[name] = (low[name] + 1).clamp(max=side - 1)
            part[name] = at[name] - low[name]
        ids = torch.stack([a * side + b for a in (low["y"], high["y"]) for b in (low["x"], high["x"])])
        weights = torch.stack([a * b for a in (1 - part["y"], part["y"]) for b in (1 - part["x"], part["x"])])
        inverse = 10000.0 ** (-torch.arange(0, dim // 2, 2).float() / (dim // 2))
        angles = torch.cat((torch.outer(y.float(), inverse), torch.outer(x.float(), inverse)), -1)
        angles = torch.cat((angles, angles), -1)
        return [one.to(device) for one in (ids, weights[..., None], angles.cos(), angles.sin())]

    def forward(self, images, deepstack=True):
        """([batch, tokens, out], [the same of each deepstack level]), or the first of them alone."""
        ids, weights, cos, sin = self.tables(images.shape[1] // 16, images.shape[2] // 16, images.device)
        x = self.patch(self.patchify(images)) + (self.pos_embed(ids) * weights).sum(0)
        levels = []
        for number, block in enumerate(self.blocks):
            x = block(x, cos, sin)
            if deepstack and number in self.shape.deepstack_visual_indexes:
                levels.append(self.deepstack_merger_list[len(levels)](x))
        return (self.merger(x), levels) if deepstack else self.merger(x)


def positions(before, rows, columns, after):
    """[3, tokens] of a text of `before` tokens, an image of rows x columns tokens and a text of `after` tokens."""
    start = torch.arange(before).expand(3, -1)
    y, x = (one.reshape(-1) for one in torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"))
    image = torch.stack((torch.zeros_like(y), y, x)) + before
    return torch.cat((start, image, torch.arange(after).expand(3, -1) + before + max(rows, columns)), 1)


class Qwen3VL(nn.Module):
    """The decoder of model.py under `text`, the tower under `vision`."""

    def __init__(self, shape, vision_shape):
        super().__init__()
        self.text = Qwen3(shape)
        self.vision = Vision(vision_shape)
        inverse = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
        self.register_buffer("inverse", inverse, persistent=False)
        axis = torch.zeros(shape.head_dim // 2, dtype=torch.long)
        for number in (1, 2):
            axis[number:3 * MROPE_SECTION[number]:3] = number
        self.register_buffer("axis", axis, persistent=False)

    def forward(self, ids, places, images=None, before=0, seen=None):
        """Logits at the flat places of ids [batch, tokens]; the image tokens are to stand at before, before + 1, ...

        seen: what self.vision(images) gave, if it is there already.
        """
        if images is None:
            return self.text(ids, places)
        tokens, levels = seen or self.vision(images)
        rows, columns = images.shape[1] // 32, images.shape[2] // 32
        count = rows * columns
        angles = positions(before, rows, columns, ids.shape[1] - before - count).to(ids.device)[self.axis].T * self.inverse
        cos, sin = angles.cos(), angles.sin()
        decoder = self.text.model
        x = decoder.embed_tokens(ids)
        x = torch.cat((x[:, :before], tokens, x[:, before + count:]), 1)
        mask = torch.full((ids.shape[1], ids.shape[1]), float("-inf"), device=ids.device).triu(1)
        for number, layer in enumerate(decoder.layers):
            x = layer(x, cos, sin, mask)
            if number < len(levels):
                x = x + F.pad(levels[number], (0, 0, before, ids.shape[1] - before - count))
        return F.linear(decoder.norm(x.reshape(-1, x.shape[-1])[places]), decoder.embed_tokens.weight)


def load_weights(model, weights):
    """Takes over what checkpoint() gave; of a text model's weights, the language part alone."""
    weights = {name: value.float() for name, value in weights.items()}
    model.text.load_state_dict({name.replace("model.language_model.", "model."): value for name, value in weights.items()
                                if "visual" not in name})
    tower = {name.removeprefix("model.visual."): value for name, value in weights.items() if "visual" in name}
    if tower:
        tower["patch.weight"] = tower.pop("patch_embed.proj.weight").sum(2).flatten(1)
        tower["patch.bias"] = tower.pop("patch_embed.proj.bias")
        model.vision.load_state_dict(tower)


def checkpoint(model):
    """The weights under the names of a Qwen3-VL checkpoint, bf16."""
    found = {}
    for name, value in model.text.state_dict().items():
        found[name.replace("model.", "model.language_model.", 1)] = value
    for name, value in model.vision.state_dict().items():
        if name == "patch.weight":
            half = (value / 2).view(-1, 3, 1, 16, 16).expand(-1, 3, 2, 16, 16)
            found["model.visual.patch_embed.proj.weight"] = half
        else:
            found["model.visual." + name.replace("patch.bias", "patch_embed.proj.bias")] = value
    return {name: value.detach().cpu().to(torch.bfloat16).contiguous() for name, value in found.items()}
