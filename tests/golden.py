#!/usr/bin/env python3
"""Makes tests/data/golden and the pictures of tests/data/preprocess from a folder of the oracle's full outputs:

    golden.py FOLDER        make golden GOLDEN=FOLDER

Files with every site are taken as they are; of the published variants only the input (equal for one picture size) and
the logits are kept, so that a clone stays small."""
import json
import pathlib
import shutil
import struct
import sys


def load(path):
    raw = path.read_bytes()
    n = 8 + struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:n])
    header.pop("__metadata__", None)
    return {k: (v["dtype"], v["shape"], raw[n + v["data_offsets"][0]:n + v["data_offsets"][1]]) for k, v in header.items()}


def save(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


source, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent / "data"
for name in ("plain", "odd", "shallow"):
    shutil.copyfile(source / f"{name}.safetensors", here / "golden" / f"{name}.safetensors")
for picture in sorted((source / "preprocess").glob("*.png")):
    shutil.copyfile(picture, here / "preprocess" / picture.name)

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
