"""What the small study of these tests is: by name, for ``conftest`` is another module in every folder."""

TARGET = "first_degree_av_block"
SEEDS = (0, 1)
