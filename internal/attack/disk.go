package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// diskFull gives the store a disk of its own, fills it, and frees it again.
func diskFull(w *world) (string, error) {
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%w: needs root, to mount a small tmpfs", errNotRun)
	}
	disk := w.newDir()
	if out, err := exec.CommandContext(w.ctx, "mount", "-t", "tmpfs", "-o", "size=12m", "ostiary-attack", disk).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: mount: %s", errNotRun, out)
	}
	w.later(func() error {
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			return fmt.Errorf("umount: %w: %s", err, out)
		}
		return nil
	})
	s := w.serveIn(filepath.Join(disk, "data"), unlimited)
	s.account("ada")
	at := s.from(owner)
	canary, chain := at.signIn(mikrocloud, "ada", passphrase), at.signIn(senmo, "ada", passphrase).refresh
	var f findings

	ballast := filepath.Join(disk, "ballast")
	w.must(occupy(ballast))
	full, ended, asked := 0, time.Now().Add(20*time.Second), 0
	var parent string
	for full < 12 && time.Now().Before(ended) {
		asked++
		d := doors[asked%len(doors)]
		if a := d.login(at, "ada", passphrase); f.want("a login on a full disk", a, 200, 503) && a.status == 503 {
			full++
		}
		f.want("a wrong password on a full disk", d.login(at, "ada", mistaken), d.failed, 503)
		a := at.refresh(chain)
		if f.want("a refresh on a full disk", a, 200, 503) && a.status == 200 {
			parent, chain = chain, member(a.body, "tokens", "refreshToken")
		}
		if w.ctx.Err() != nil || a.status != 200 {
			continue
		}
		w.must(occupy(ballast))
	}
	if full == 0 {
		f.addf("the disk was never full, in %d logins", asked)
	}
	f.want("verification on a full disk", at.verify(canary), 200)
	f.want("verification of nobody on a full disk", at.get("/ostiary/verify", "Authorization", "Bearer x"), 401)
	f.want("liveness on a full disk", at.get("/ostiary/healthz"), 200)
	if _, errOut, status := s.command(passphrase+"\n", "account", "create", "--username", "half", "--password-stdin"); status != 1 {
		f.addf("an account on a full disk: %d %s", status, errOut)
	}

	w.must(os.Remove(ballast))
	freed := time.Now()
	for senmo.login(at, "ada", passphrase).status != 200 && time.Since(freed) < 10*time.Second {
		time.Sleep(50 * time.Millisecond)
	}
	recovered := time.Since(freed)
	for _, d := range doors {
		f.want(d.dialect+" with room again", d.login(at, "ada", passphrase), 200)
	}
	if a := at.refresh(chain); f.want("the last chain that was acknowledged", a, 200) && parent != "" {
		f.want("the spent token before it, which is theft now", at.refresh(parent), 400)
	}
	if _, _, status := s.command("", "account", "show", "half"); status != 1 {
		f.addf("half an account is there")
	}
	out, _, _ := s.command("", "doctor")
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "wrong") && !strings.Contains(line, "MiB left") { // it is a small disk
			f.addf("doctor: %s", strings.TrimSpace(line))
		}
	}
	if !strings.Contains(out, "its pages are as they were written") {
		f.addf("doctor: %s", out)
	}
	return fmt.Sprintf("on a full disk %d of %d logins answered 503, none let in or denied; tokens verified; %.0f ms after it was freed all is well, and doctor agrees",
		full, asked, ms(recovered)), f.err()
}

// occupy makes a file as large as the disk lets it be.
func occupy(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for size := 64 << 10; size > 0; size /= 2 {
		for err == nil {
			_, err = file.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			break
		}
		err = nil
	}
	return errors.Join(err, file.Close())
}
