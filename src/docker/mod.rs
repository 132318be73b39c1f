//! The Docker adapter: the only place that names bollard.
