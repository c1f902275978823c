"""``tailrace doctor``."""

from web.cli.doctor.command import doctor

__all__ = ["doctor"]
