"""`python -m tests.lab.demo --help`: the demo in another size."""

from tests.lab.demo.demo import Size, main, options

if __name__ == "__main__":
    given = vars(options().parse_args())
    raise SystemExit(main(given.pop("keep"), Size(**given)))
