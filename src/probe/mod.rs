//! Questions asked at a fixed rate: the pacer, HTTP, TCP and DNS.
