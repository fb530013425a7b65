package acme

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// certmagicLog is the server's log as certmagic writes to it. certmagic tells every step
// and every fault of a CA's; what an operator must know is said by Manager, in one line.
// So its own lines are for log_level = "debug", but for those that tell of a fault.
func certmagicLog(log *slog.Logger) *zap.Logger { return zap.New(core{log.Handler()}) }

// core is a slog.Handler for zap.
type core struct{ handler slog.Handler }

// level is Debug but for faults. Two of its errors are none: what Manager says itself, and
// a stranger who poses as a CA.
func level(e zapcore.Entry) slog.Level {
	if e.Level < zapcore.ErrorLevel || e.Message == "could not get certificate from issuer" || e.Message == "tls-alpn challenge" {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func (c core) Enabled(l zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), level(zapcore.Entry{Level: l}))
}

func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{c.handler.WithAttrs(attrs(fields))}
}

func (c core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.handler.Enabled(context.Background(), level(e)) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, level(e), "acme: "+e.Message, 0)
	r.AddAttrs(attrs(fields)...)
	return c.handler.Handle(context.Background(), r)
}

func (core) Sync() error { return nil }

func attrs(fields []zapcore.Field) (out []slog.Attr) {
	for _, f := range fields {
		one := zapcore.NewMapObjectEncoder()
		f.AddTo(one)
		for key, value := range one.Fields {
			out = append(out, slog.Any(key, value))
		}
	}
	return out
}
