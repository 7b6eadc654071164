#!/usr/bin/env python3
"""Makes tests/data/golden and the pictures of tests/data/preprocess from a folder of the oracle's full outputs:

    golden.py FOLDER        make golden GOLDEN=FOLDER

The bilinear pictures of tests/data/preprocess are made here with Pillow. Files with every site are taken as they are; of the published variants only the input (equal for one picture size) and
the logits are kept, so that a clone stays small."""
import json
import math
import pathlib
import shutil
import struct
import sys

from PIL import Image


def load(path):
    raw = path.read_bytes()
    n = 8 + struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:n])
    header.pop("__metadata__", None)
    return {k: (v["dtype"], v["shape"], raw[n + v["data_offsets"][0]:n + v["data_offsets"][1]]) for k, v in header.items()}


def metadata(path):
    raw = path.read_bytes()
    return json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]]).get("__metadata__", {})


def save(path, tensors, about=None):
    header, at = {"__metadata__": about} if about else {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


def resize(image, w, h):
    """Width first: Pillow 13 turns the order round for some pictures, earlier ones do not."""
    return image.resize((w, image.size[1]), Image.BILINEAR).resize((w, h), Image.BILINEAR)


def bilinear(image, side, pct, mode):
    (w, h), s = image.size, math.floor(side / pct)
    image = resize(image, s, s) if mode == "squash" else resize(image, s, s * h // w) if w <= h else resize(image, s * w // h, s)
    left, top = (round((n - side) / 2) for n in image.size)
    return image.crop((left, top, left + side, top + side))


source, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent / "data"
for name in ("plain", "odd", "shallow"):
    shutil.copyfile(source / f"{name}.safetensors", here / "golden" / f"{name}.safetensors")
for picture in sorted((source / "preprocess").glob("*.png")):
    shutil.copyfile(picture, here / "preprocess" / picture.name)
for name, side, pct, mode in (("wide", 64, 0.875, "center"), ("tall", 96, 1.0, "squash"), ("small", 160, 1.0, "center"),
                              ("odd", 63, 0.9, "center"), ("needle", 32, 0.875, "squash"),
                              ("plank", 32, 1.0, "center")):
    whole = Image.open(here / "preprocess" / f"{name}.png").convert("RGB")
    bilinear(whole, side, pct, mode).save(here / "preprocess" / f"{name}-{side}-{pct}-{mode}-bilinear.png")

# Gradients: without the rules that the program does not have, and without what the tests do not read.
(here / "gradients").mkdir(exist_ok=True)
for file in sorted((source / "gradients").glob("*.safetensors")):
    kept = {k: v for k, v in load(file).items() if not k.startswith(("attn", "cp-gamma"))}
    save(here / "gradients" / file.name, kept, metadata(file))

inputs, logits = {}, {}
for file in sorted(source.glob("variant-*.safetensors")):
    tensors = load(file)
    side = tensors["input"][1][-1]
    if inputs.setdefault(side, tensors["input"]) != tensors["input"]:
        sys.exit(f"{file}: its input is not that of the other variants at {side} px")
    logits[file.stem.removeprefix("variant-")] = tensors["head"]
for side, x in inputs.items():
    save(here / "golden" / f"input-{side}.safetensors", {"input": x})
save(here / "golden" / "variants.safetensors", logits)
