"""The example configuration: footbridge finds nothing wrong with it, and serves by it."""

from .stage import PACKAGE, run


def show(stage):
    report = stage.report
    report.part("configuration", "the example that is installed")
    if stage.has_command("check"):
        said = run(stage.program, "check", "--config", PACKAGE / "footbridge.toml")
        report.check("footbridge check", True, said.strip() or "nothing to say", "exit code 0")
    else:
        report.skip("the example configuration", "this footbridge has no command check")
    report.end_part()
