"""Options that mean the same in every verb that paints a world."""

SHARED = [
    "--tile 16 --wrap xy",
    "--tile 32 --horizon -9 --vertical_span 90",
    "--tile 32 --level 1 --horizon 30",
    "--tile 32 --level 1 --quick --wrap x",
    "--tile 32 --biomes 40 --blend 8",
    "--tile 32 --octaves 2 --truncation 0.5 --noise_scale 0.25",
    "--level 1 --biomes 200",
    "--level 1 --quick",
]
