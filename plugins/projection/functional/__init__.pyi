from .input_basis import extend_basis as extend_basis
from .input_basis import extend_basis_from_gram as extend_basis_from_gram
from .input_basis import project_out as project_out
from .output_basis import basis_coefficients as basis_coefficients
from .output_basis import basis_penalty as basis_penalty
from .output_basis import compose_weight as compose_weight
from .output_basis import extend_output_basis as extend_output_basis
