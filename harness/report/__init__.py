"""Charts, HTML, Markdown and JUnit: pure functions of the analysis."""
