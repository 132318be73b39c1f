//! Carries an experiment out: preflight, targets, steady state, faults, the undo ledger, abort.
