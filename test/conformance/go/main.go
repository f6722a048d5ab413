// Drives the Go client: send and push-consume, printing "PASS check", "FAIL check reason" and at the end "DONE".
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

var output sync.Mutex

func print(words ...string) {
	output.Lock()
	defer output.Unlock()
	fmt.Println(strings.ReplaceAll(strings.Join(words, " "), "\n", " "))
}

func check(name string, ok bool, found any) {
	if ok {
		print("PASS", name)
	} else {
		print("FAIL", name, fmt.Sprint(found))
	}
}

type received struct {
	sync.Mutex
	bodies []string
}

func (r *received) add(messages []*primitive.MessageExt) {
	r.Lock()
	defer r.Unlock()
	for _, message := range messages {
		r.bodies = append(r.bodies, string(message.Body))
	}
}

func (r *received) sorted() []string {
	r.Lock()
	defer r.Unlock()
	bodies := append([]string(nil), r.bodies...)
	sort.Strings(bodies)
	return bodies
}

// await gives the receiver a minute to get the bodies, each once.
func await(name string, wanted []string, r *received) {
	sort.Strings(wanted)
	end := time.Now().Add(time.Minute)
	for len(r.sorted()) < len(wanted) && time.Now().Before(end) {
		time.Sleep(50 * time.Millisecond)
	}
	found := r.sorted()
	check(name, strings.Join(found, ",") == strings.Join(wanted, ","), fmt.Sprintf("%d of %d: %v", len(found), len(wanted), found))
}

func main() {
	rlog.SetLogLevel("error")
	namesrv, run := os.Args[1], os.Args[2]
	topic := run + "-topic"
	resolver := primitive.NewPassthroughResolver(strings.Split(namesrv, ";"))

	sender, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithGroupName(run+"-producer"), producer.WithRetry(2))
	if err == nil {
		err = sender.Start()
	}
	check("producer-start", err == nil, err)

	var wanted []string
	body := func(kind string, i int) []byte {
		text := fmt.Sprintf("%s-%d", kind, i)
		wanted = append(wanted, text)
		return []byte(text)
	}
	failed := 0
	for i := 0; i < 30; i++ {
		message := primitive.NewMessage(topic, body("sync", i)).WithTag("tag").WithKeys([]string{fmt.Sprintf("key-%d", i)})
		result, err := sender.SendSync(context.Background(), message)
		if err != nil || result.Status != primitive.SendOK {
			failed++
			print("FAIL", "send-sync", fmt.Sprint(result, err))
		}
	}
	check("send-sync", failed == 0, failed)

	var wait sync.WaitGroup
	var lock sync.Mutex
	for i := 0; i < 30; i++ {
		wait.Add(1)
		err := sender.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			lock.Lock()
			defer lock.Unlock()
			if err != nil || result.Status != primitive.SendOK {
				failed++
			}
			wait.Done()
		}, primitive.NewMessage(topic, body("async", i)))
		if err != nil {
			print("FAIL", "send-async", err.Error())
			wait.Done()
		}
	}
	wait.Wait()
	check("send-async", failed == 0, failed)

	for i := 0; i < 10; i++ {
		if err := sender.SendOneWay(context.Background(), primitive.NewMessage(topic, body("oneway", i))); err != nil {
			print("FAIL", "send-oneway", err.Error())
		}
	}
	var batch []*primitive.Message
	for i := 0; i < 10; i++ {
		batch = append(batch, primitive.NewMessage(topic, body("batch", i)))
	}
	result, err := sender.SendSync(context.Background(), batch...)
	check("send-batch", err == nil && result.Status == primitive.SendOK, err)

	var all received
	receiver, err := rocketmq.NewPushConsumer(
		consumer.WithNsResolver(resolver),
		consumer.WithGroupName(run+"-group"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	if err == nil {
		err = receiver.Subscribe(topic, consumer.MessageSelector{}, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			all.add(messages)
			return consumer.ConsumeSuccess, nil
		})
	}
	if err == nil {
		err = receiver.Start()
	}
	check("consumer-start", err == nil, err)
	await("push-consume", wanted, &all)

	for i := 0; i < 10; i++ {
		_, err := sender.SendSync(context.Background(), primitive.NewMessage(topic, body("live", i)))
		if err != nil {
			print("FAIL", "send-live", err.Error())
		}
	}
	await("push-consume-live", wanted, &all)
	check("consumer-stop", receiver.Shutdown() == nil, "error")
	check("producer-stop", sender.Shutdown() == nil, "error")
	print("DONE")
}
