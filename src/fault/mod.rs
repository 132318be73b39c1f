//! Ways to harm, and the undo of each: siblings of one shape, one file each.
