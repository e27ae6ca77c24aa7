"""What a network becomes on Loihi 1: the integers of its cores, and compiled code that steps them."""

from hybrid_control.snn.backends.loihi.engine import LoihiEngine
from hybrid_control.snn.backends.loihi.form import (
    CAPABILITIES,
    MAX_COUNT,
    LoihiProgram,
    loihi_form,
    loihi_program,
)

__all__ = ["CAPABILITIES", "MAX_COUNT", "LoihiEngine", "LoihiProgram", "loihi_form", "loihi_program"]
