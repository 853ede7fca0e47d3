"""Plays a cluster, as kubectl. What it knows is in the folder FAKE_CLUSTER; what it was asked is kept there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> int:
    folder = Path(os.environ["FAKE_CLUSTER"])
    world = json.loads((folder / "world.json").read_text())
    words = sys.argv[1:]
    text = sys.stdin.read() if "--filename=-" in words else ""
    with (folder / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps({"words": words, "text": text}) + "\n")
    options = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
    context = options.get("--context", "home")
    if words[:2] == ["config", "get-contexts"]:
        print("home\nkind-kind")
        return 0
    if context not in ("home", "kind-kind"):
        print(f'error: context "{context}" does not exist', file=sys.stderr)
        return 1
    plain = [word for word in words if not word.startswith("--")]
    return {"get": get, "delete": delete, "create": create, "logs": logs, "exec": execute}[plain[0]](
        folder, world, plain[1:], text
    )


def missing(what: str) -> int:
    print(f"Error from server (NotFound): {what} not found", file=sys.stderr)
    return 1


def get(folder: Path, world: dict, plain: list[str], text: str) -> int:
    if plain[0] == "job":
        if not world["job"]:
            return missing('jobs.batch "harness"')
        print(json.dumps(world["job"]))
    elif plain[0] == "pods":
        print(json.dumps({"items": [step(folder, world, world["pods"])]}))
    else:
        if plain[1].startswith("results-reader") and not world["created"]:
            return missing(plain[1])
        print(json.dumps(step(folder, world, world["reader" if plain[1].startswith("results-reader") else "pods"])))
    return 0


def step(folder: Path, world: dict, states: list[dict]) -> dict:
    """What is so now; the next one who asks sees the state after it."""
    now = states[0]
    if len(states) > 1:
        del states[0]
        (folder / "world.json").write_text(json.dumps(world))
    return now


def delete(folder: Path, world: dict, plain: list[str], text: str) -> int:
    if plain[0] == "job":
        world["job"] = None
        (folder / "world.json").write_text(json.dumps(world))
    return 0


def create(folder: Path, world: dict, plain: list[str], text: str) -> int:
    if refusal := world.get("refuses"):
        print(refusal, file=sys.stderr)
        return 1
    made = json.loads(text)
    if made["kind"] == "Job":
        world["job"] = made
    else:
        world["created"] = made
    (folder / "world.json").write_text(json.dumps(world))
    return 0


def logs(folder: Path, world: dict, plain: list[str], text: str) -> int:
    print(world.get("log", "1 passed"), flush=True)
    if world.get("hangs"):
        sys.stdin.read() if not sys.stdin.isatty() else None
    return 0


def execute(folder: Path, world: dict, plain: list[str], text: str) -> int:
    archive = (folder / "results.tar").read_bytes()
    sys.stdout.buffer.write(archive[: world.get("cut", len(archive))])
    sys.stdout.flush()
    if world.get("exec_fails"):
        print("error: unexpected EOF", file=sys.stderr)
    return int(bool(world.get("exec_fails")))


if __name__ == "__main__":
    sys.exit(main())
