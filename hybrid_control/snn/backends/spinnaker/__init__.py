"""What a network becomes on SpiNNaker: populations and projections of sPyNNaker's models, weights of 16 bits."""

from hybrid_control.snn.backends.spinnaker.form import CAPABILITIES, SpinnakerForm, spinnaker_form

__all__ = ["CAPABILITIES", "SpinnakerForm", "spinnaker_form"]
