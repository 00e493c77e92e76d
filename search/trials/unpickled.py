"""What Ray would write into its own files."""


class Unpickled:
    """Is pickled as an empty object.

    Ray Tune pickles whatever it is given into files that nobody reads. No secret, no history of a thousand trials and
    no terminal goes there.
    """

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()
