//! Pure: findings and expectations in; pass, fail or inconclusive out.
