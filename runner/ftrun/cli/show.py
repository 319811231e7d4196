"""`ftrun show FILE`: the resolved experiment as TOML, and who provides each part."""

from __future__ import annotations

import click

from ftrun.cli import completing
from ftrun.cli.common import WRONG, experiment_options, load_plan, open_catalogue, plugin_option, tell
from ftrun.errors import ExperimentError
from ftrun.planning.plan import Plan


@click.command("show")
@click.argument("file", shell_complete=completing.experiments)
@experiment_options
@plugin_option
def command(file: str, profile: str | None, overrides: tuple[str, ...], unset: tuple[str, ...]) -> int:
    """Print the resolved experiment as TOML that runs as it stands: layers merged, every default filled in, and a
    comment that tells who provides each part.
    """
    try:
        plan = load_plan(file, open_catalogue(), profile, overrides, unset, environ={})
    except ExperimentError as error:
        tell(error, file)
        return WRONG
    click.echo(_with_providers(plan), nl=False)
    return 0


def _with_providers(plan: Plan) -> str:
    import tomlkit
    from tomlkit.items import AoT, Table

    document = tomlkit.parse(tomlkit.dumps(plan.resolved()))
    tables: dict[str, Table] = {key: item for key, item in document.items() if isinstance(item, Table)}
    metrics = document.get("metrics")
    if isinstance(metrics, AoT):
        tables |= {f"metrics[{index}]": item for index, item in enumerate(metrics)}
    for place, part in plan.parts.items():
        if place in tables:
            tables[place]["use"].comment(f"from {part.offer.provider}")
    return tomlkit.dumps(document)
