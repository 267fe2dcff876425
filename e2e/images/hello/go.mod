module berth.dev/e2e/images/hello

go 1.24
