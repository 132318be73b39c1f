//! Pure: a timeline in, findings out.
