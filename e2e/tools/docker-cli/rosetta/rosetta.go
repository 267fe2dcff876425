// Package rosetta stands in for the module of that name, which not every module proxy serves. The docker client
// asks it one thing, for `docker version` on a Mac; everywhere else the true answer is no.
package rosetta

// Enabled tells whether the process is translated from another architecture.
func Enabled() bool { return false }
