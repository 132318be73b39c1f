//! Pure: one view of a run, and its forms: terminal, JSON, JUnit, log.
