# SPDX-License-Identifier: BSD-3-Clause
"""The tests that there are, and which of them run where."""

import fnmatch
from dataclasses import dataclass, field

# Kernels a test runs on unless it says otherwise: the default one, and the one
# that looks for mistakes.
DEFAULT_KERNELS = ("debian-6.12", "debug")
ALL = ("*",)
# A kernel that runs what another does, without a word in the test: both look for mistakes.
LIKE = {"kcsan": "debug"}
# For tests in which the kernel only stands by.
USER_SPACE = ("debian-6.12",)


@dataclass
class Case:
    """One row of a test's table: its arguments, and what is not as the test says for all."""
    args: dict = field(default_factory=dict)
    kernels: tuple = None
    tier: str = None
    timeout: float = None


@dataclass
class Test:
    name: str
    function: object
    args: dict
    kernels: tuple
    tier: str
    tags: tuple
    timeout: float
    needs: tuple
    tolerates: tuple = ()

    def runs_on(self, kernel):
        names = {kernel, LIKE.get(kernel, kernel)}
        return any(fnmatch.filter(names, pattern) for pattern in self.kernels)


_tests = []


def test(timeout=60, tier="check", kernels=DEFAULT_KERNELS, tags=(), needs=(), cases=None,
         tolerates=()):
    """Register a test function.

    timeout  seconds it may take on debian-6.12; slower kernels get more
    tier     "check" (every change), "long" (make check-long only), or "interop" (check-interop only)
    kernels  patterns of guest kernels, ALL for each
    tags     words to select it by
    needs    programs that have to be in the guest, else it is skipped
    tolerates  patterns of complaints that the kernel rightly makes in this test
    cases    {"name": Case({...}) or a plain dict of arguments}: one test for each
    """
    def register(function):
        base = f"{function.__module__.removeprefix('test_')}.{function.__name__}"
        for name, case in (cases or {None: Case()}).items():
            if not isinstance(case, Case):
                case = Case(case)
            _tests.append(Test(
                name=base if name is None else f"{base}[{name}]", function=function,
                args=case.args, kernels=tuple(case.kernels or kernels),
                tier=case.tier or tier, tags=tuple(tags),
                timeout=case.timeout or timeout, needs=tuple(needs), tolerates=tuple(tolerates)))
        return function
    return register


def select(kernel, tiers, tags=(), patterns=()):
    """The tests for this kernel, in the order in which they were written down."""
    chosen = []
    for t in _tests:
        if not t.runs_on(kernel) or t.tier not in tiers:
            continue
        if tags and not set(tags) & set(t.tags):
            continue
        if patterns and not any(fnmatch.fnmatchcase(t.name, p) for p in patterns):
            continue
        chosen.append(t)
    return chosen
