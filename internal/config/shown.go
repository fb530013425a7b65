package config

import (
	"os"
	"slices"
)

// ShownFiles are the files with a password of the database, or of the Redis, that every user
// of the machine can read.
func ShownFiles(set *Shared, srv *Server) (files []string) {
	add := func(path string) {
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	if set.DatabaseFile != "" && set.HasPassword() {
		add(set.DatabaseFile)
	}
	if srv.GuessRedisFile != "" {
		if r, err := srv.Redis(); err == nil && r.Password != "" {
			add(srv.GuessRedisFile)
		}
	}
	if set.file != nil {
		url, _ := set.file.values["database"].(string)
		redis, _ := set.file.values["guess_redis"].(string)
		r, err := parseRedis(redis)
		if (&Shared{Database: url}).HasPassword() || err == nil && r.Password != "" {
			add(set.file.name)
		}
	}
	return files
}
