"""pytest's root: the harness's own plugin comes through its entry point; here what its tests share, and
PromptSales itself."""

pytest_plugins = ["pytester", "fixtures.plugin"]
