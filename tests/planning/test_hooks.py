"""A plugin's hooks are judged by pluggy, and what is none of ftrun's is told in a sentence."""

from __future__ import annotations

import pytest
from plugin_packages import HEAD, Site

HOOKS = {
    "an unknown hook": (
        "@hookimpl\ndef ftrun_metric(): return []",
        "ftrun_metric is not a hook of ftrun; did you mean ftrun_metrics?",
    ),
    "an unknown name of a hook": (
        "@hookimpl(specname='ftrun_metricks')\ndef offer(): return []",
        "ftrun_metricks is not a hook of ftrun; did you mean ftrun_metrics?",
    ),
    "no mark": ("def ftrun_metrics(): return [metric()]", "ftrun_metrics is not marked with @ftrun.hookimpl"),
    "no mark beside one": (
        "@hookimpl\ndef ftrun_metrics(): return []\ndef ftrun_run_finished(run): pass",
        "ftrun_run_finished is not marked with @ftrun.hookimpl",
    ),
    "no hook": ("def metrics(): return [metric()]", "it implements no hook of ftrun, such as ftrun_metrics"),
    "an argument too many": (
        "@hookimpl\ndef ftrun_metrics(settings): return []",
        "ftrun_metrics takes settings, and a hook of that name is given nothing",
    ),
    "an argument of another name": (
        "@hookimpl\ndef ftrun_run_finished(run, state): pass",
        "ftrun_run_finished takes state, and a hook of that name is given run, run_folder, status, metrics",
    ),
    "an argument too many by another name": (
        "@hookimpl(specname='ftrun_evaluated')\ndef look(reprot): pass",
        "ftrun_evaluated takes reprot, and a hook of that name is given run, run_folder, report",
    ),
    "a wrapper": (
        "@hookimpl(wrapper=True)\ndef ftrun_metrics():\n    return (yield)",
        "ftrun_metrics is a wrapper, and every plugin's hooks are called by themselves",
    ),
    "a wrapper that looks on": (
        "@hookimpl(wrapper=True)\ndef ftrun_run_finished():\n    return (yield)",
        "ftrun_run_finished is a wrapper, and every plugin's hooks are called by themselves",
    ),
    "a wrapper of old": (
        "@hookimpl(hookwrapper=True)\ndef ftrun_evaluated():\n    yield",
        "ftrun_evaluated is a wrapper, and every plugin's hooks are called by themselves",
    ),
    "a generator that looks on": (
        "@hookimpl\ndef ftrun_evaluated(report): yield report",
        "ftrun_evaluated has a `yield`, so a call of it runs none of its lines",
    ),
    "a generator that offers": (
        "@hookimpl\ndef ftrun_metrics(): yield metric()",
        "ftrun_metrics has a `yield`, so a call of it runs none of its lines",
    ),
    "a coroutine": (
        "@hookimpl\nasync def ftrun_evaluated(report): pass",
        "ftrun_evaluated is `async`, so a call of it runs none of its lines",
    ),
    "an asynchronous generator": (
        "@hookimpl\nasync def ftrun_evaluated(report): yield",
        "ftrun_evaluated is `async`, so a call of it runs none of its lines",
    ),
    "a hook that raises": (
        "@hookimpl\ndef ftrun_metrics(): raise OSError('no disk')",
        "ftrun_metrics raised OSError: no disk",
    ),
    "a component without a function": (
        "@hookimpl\ndef ftrun_metrics(): return [Metric(name='half', summary='')]",
        "ftrun_metrics raised TypeError: ",
    ),
    "an import that leaves": ("raise SystemExit(3)", "SystemExit: 3"),
}


@pytest.mark.parametrize(("source", "told"), HOOKS.values(), ids=HOOKS.keys())
def test_a_hook_that_is_none_is_told(site: Site, source: str, told: str) -> None:
    site.add(f"{HEAD}\n{source}\n")
    plugin = site.plugin()
    assert plugin.failure and plugin.failure.startswith(told) and "\n" not in plugin.failure
    assert not plugin.components and not plugin.observes


def test_a_hook_may_be_implemented_under_another_name(site: Site) -> None:
    site.add(f"{HEAD}\n@hookimpl(specname='ftrun_metrics')\ndef offer(): return [metric()]\n")
    site.add(
        f"{HEAD}\n@hookimpl(optionalhook=True)\ndef ftrun_later(): pass\n@hookimpl\ndef ftrun_run_started(): pass",
        "other",
    )
    assert [component.name for component in site.plugin().components] == ["half"]
    assert site.plugin("other").failure is None and site.plugin("other").observes == ["ftrun_run_started"]
