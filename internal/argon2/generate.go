package argon2

//go:generate go -C internal/gen run . -pkg argon2 -out ../../block_kernels_amd64.s -stubs ../../block_kernels_amd64.go
