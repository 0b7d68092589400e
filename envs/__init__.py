"""What an agent sees, may do and is paid. Importing this package registers every environment with Gymnasium."""

from clustersim.envs.registration import ENVIRONMENTS, register_all

register_all()

__all__ = ["ENVIRONMENTS"]
