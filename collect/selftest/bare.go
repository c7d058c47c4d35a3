package selftest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// closedLoop sums up the times of streams in a closed loop, in which each stream sends its next request when the last has ended.
type closedLoop struct {
	ideal time.Duration // that the turns of all streams take at the server's pace
	took  time.Duration // from the first request to the last token, summed over all streams
}

// ratio gives tokens per second over those that the pace allows, 0 to 1.
func (c closedLoop) ratio() float64 { return c.ideal.Seconds() / c.took.Seconds() }

// bareLoop plays a Level with a client that keeps nothing: it reads, counts lines and sends the next request. Its history is as long as
// wb's and its options are the same, so that the server has as much to do. Throughput that this client loses is lost by the server and the
// machine. What wb loses beyond that, wb itself causes.
func (l Level) bareLoop(ctx context.Context, url, model string) (total closedLoop, err error) {
	var mu sync.Mutex
	var errs []error
	var streams, connected sync.WaitGroup
	begin := make(chan struct{})
	connected.Add(l.Streams)
	for range l.Streams {
		streams.Go(func() {
			t := &http.Transport{}
			defer t.CloseIdleConnections()
			client := &http.Client{Transport: t}
			err := bareTurn(ctx, client, url, model, 0, 1) // connects before the measurement, as wb's users do
			connected.Done()
			<-begin
			began := time.Now()
			for i := 0; i < l.Turns && err == nil; i++ {
				err = bareTurn(ctx, client, url, model, i, l.tokens())
			}
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			total.took += took
			total.ideal += time.Duration(l.Turns) * l.turn()
		})
	}
	connected.Wait()
	close(begin)
	streams.Wait()
	return total, errors.Join(errs...)
}

// bareTurn sends a request with a history of some turns before it and reads the stream. It fails when fewer events than tokens come.
func bareTurn(ctx context.Context, client *http.Client, url, model string, before, tokens int) error {
	messages := []map[string]string{{"role": "system", "content": "Count."}}
	for range before {
		messages = append(messages, map[string]string{"role": "user", "content": "Part 1."},
			map[string]string{"role": "assistant", "content": strings.Repeat("word ", tokens)})
	}
	messages = append(messages, map[string]string{"role": "user", "content": "Part 2."})
	body, err := json.Marshal(map[string]any{"model": model, "stream": true, "max_tokens": tokens, "ignore_eos": true, "messages": messages,
		"stream_options": map[string]bool{"include_usage": true, "continuous_usage_stats": true}})
	if err != nil {
		return fmt.Errorf("encode bare request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("build bare request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("send bare request: %w", err)
	}
	defer resp.Body.Close()
	events := 0
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadSlice('\n')
		if bytes.HasPrefix(line, []byte("data: {")) {
			events++
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read bare reply: %w", err)
		}
	}
	if events < tokens {
		return fmt.Errorf("read bare reply: %d events for %d tokens", events, tokens)
	}
	return nil
}
