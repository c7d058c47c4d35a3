//go:build duckdb_arrow

package store

import (
	"context"
	"reflect"
	"strings"

	wbsql "wb/sql"
)

// remember reads which messages the file has, unless there are many. If there are, each flush asks about its messages, which takes 1 ms.
func (r *Recorder) remember(ctx context.Context) error {
	var n int
	if err := r.conn.QueryRowContext(ctx, wbsql.Statement("message_count")).Scan(&n); err != nil || n > rememberedMessages/4 {
		return err
	}
	r.storedAll = true
	return r.messagesOf(ctx, r.stored, wbsql.Statement("messages_all"))
}

// messagesOf reads the hashes of messages, and whether the file has their texts too.
func (r *Recorder) messagesOf(ctx context.Context, into map[string]bool, q string, args ...any) error {
	rows, err := r.conn.QueryContext(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var h string
		var text bool
		if err := rows.Scan(&h, &text); err != nil {
			return err
		}
		into[h] = text
	}
	return rows.Err()
}

// moveMessages moves the waiting messages that the file lacks into the builder of raw.message.
// The caller holds mu. While the file is asked, mu is unlocked if others may add rows meanwhile.
func (r *Recorder) moveMessages(ctx context.Context, others bool) error {
	// This comes first: the file itself knows these messages. After a failed flush it does not, and a text may be stored twice.
	if len(r.stored) >= rememberedMessages {
		clear(r.stored)
		r.storedAll = false
	}
	todo := r.messages
	r.messages = map[string]Message{}
	var ask []string
	for h := range todo {
		if !r.storedAll && !r.stored[h] {
			ask = append(ask, h)
		}
	}
	has := map[string]bool{} // hash → whether the file has its text too
	if len(ask) > 0 {
		if others {
			r.mu.Unlock()
		}
		err := r.messagesOf(ctx, has, wbsql.Statement("messages_known"), strings.Join(ask, ","))
		if others {
			r.mu.Lock()
		}
		if err != nil {
			for h, m := range todo { // the next flush tries again
				if _, newer := r.messages[h]; !newer {
					r.messages[h] = m
				}
			}
			return Explain("record", r.db.path, err)
		}
	}
	s := r.byName[Message{}.table()]
	for h, m := range todo {
		text, there := r.stored[h]
		if !there {
			text, there = has[h]
		}
		if there && (text || m.Content == nil) {
			continue
		}
		r.stored[h] = m.Content != nil
		r.buffered++
		s.append(reflect.ValueOf(&m).Elem())
	}
	return nil
}
