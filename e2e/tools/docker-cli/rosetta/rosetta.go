// Package rosetta replaces the module of that name, which not every module proxy serves. The docker client calls one
// function, for `docker version` on a Mac; on every other machine the right result is no.
package rosetta

// Enabled reports whether the process is translated from another architecture.
func Enabled() bool { return false }
