using Platform.GpuKernels.Embedding.Batching;

namespace Platform.GpuKernels.Tests.Embedding.Batching;

public sealed class A_batch_schedule
{
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(5);
    private static readonly BatchSchedule Schedule = new(MaxTokens: 100, MaxTexts: 8, TurnTokens: 30, Delay);

    [Fact]
    public void has_nothing_to_do_and_no_time_to_ask_again_while_nothing_waits() => Assert.Equal((0, null), Sketch(Next(TimeSpan.Zero)));

    [Fact]
    public void gives_a_lone_request_the_time_to_find_company_and_no_more()
    {
        var came = TimeSpan.FromMilliseconds(40);
        Assert.Equal((0, came + Delay), Sketch(Next(came, Waiting(came, 10))));
        Assert.Equal((0, came + Delay), Sketch(Next(came + Delay - TimeSpan.FromTicks(1), Waiting(came, 10), Waiting(came + Delay - TimeSpan.FromTicks(1), 10))));
        Assert.Equal([(0, 1)], Parts(Next(came + Delay, Waiting(came, 10))));
        Assert.Equal([(0, 1)], Parts((Schedule with { MaxDelay = TimeSpan.Zero }).Next([Waiting(came, 10)], came)));
    }

    [Fact]
    public void counts_the_time_of_whoever_waits_longest_wherever_it_stands() =>
        Assert.Equal([(0, 1), (1, 1)], Parts(Next(Delay, Waiting(Delay, 10), Waiting(TimeSpan.Zero, 10))));

    [Fact]
    public void waits_for_nobody_once_the_batch_is_full()
    {
        Assert.Equal([(0, 1), (1, 1)], Parts(Next(TimeSpan.Zero, Waiting(TimeSpan.Zero, 60), Waiting(TimeSpan.Zero, 40), Waiting(TimeSpan.Zero, 1))));
        Assert.Equal([(0, 8)], Parts(Next(TimeSpan.Zero, Waiting(TimeSpan.Zero, 1, 1, 1, 1, 1, 1, 1, 1))));
    }

    [Fact]
    public void lets_requests_take_turns()
    {
        // The large one gets its thirty tokens, the small ones theirs, then it goes on, turn by turn, until the batch is full.
        var plan = Next(TimeSpan.Zero, Waiting(TimeSpan.Zero, [.. Enumerable.Repeat(15, 50)]), Waiting(TimeSpan.Zero, 5), Waiting(TimeSpan.Zero, 20));
        Assert.Equal([(0, 2), (1, 1), (2, 1), (0, 2), (0, 1)], Parts(plan));
    }

    [Fact]
    public void takes_at_least_one_text_a_turn_and_a_text_longer_than_a_batch_alone()
    {
        Assert.Equal([(0, 1), (1, 1)], Parts(Next(Delay, Waiting(TimeSpan.Zero, 50), Waiting(TimeSpan.Zero, 40))));
        Assert.Equal([(0, 1)], Parts(Next(TimeSpan.Zero, Waiting(TimeSpan.Zero, 5_000), Waiting(TimeSpan.Zero, 1))));
        Assert.Equal([(0, 1)], Parts(Next(TimeSpan.Zero, Waiting(TimeSpan.Zero, 10), Waiting(TimeSpan.Zero, 5_000), Waiting(TimeSpan.Zero, 1))));
    }

    [Fact]
    public void takes_texts_without_tokens_too() => Assert.Equal([(0, 2)], Parts(Next(Delay, Waiting(TimeSpan.Zero, 0, 0))));

    [Fact]
    public void reads_the_queue_no_further_than_the_batch_goes()
    {
        static IEnumerable<WaitingRequest> Queue()
        {
            yield return Waiting(TimeSpan.Zero, 100);
            Assert.Fail("The batch was full.");
        }

        Assert.Equal([(0, 1)], Parts(Schedule.Next(Queue(), TimeSpan.Zero)));
    }

    /// <summary>Any queue: nothing beyond the limits, each text once and in order, and a request that came when n waited is in a batch after at most n turns.</summary>
    [Fact]
    public void serves_everybody_within_one_turn_of_each_that_was_there()
    {
        var random = new Random(7);
        for (var trial = 0; trial < 300; trial++)
        {
            var queue = Enumerable.Range(0, random.Next(1, 12)).Select(id => (Id: id, Lengths: Enumerable.Range(0, random.Next(1, 40)).Select(_ => random.Next(random.Next(4) == 0 ? 150 : 20)).ToArray(), Next: 0)).ToList();
            var first = new Dictionary<int, int>();
            var (turns, batches) = (0, 0);
            while (queue.Count > 0)
            {
                var plan = Schedule.Next(queue.Select(request => new WaitingRequest(request.Lengths.AsMemory(request.Next), TimeSpan.Zero)), Delay);
                Assert.NotEmpty(plan.Parts);
                var taken = new List<int>();
                var now = queue.ToArray();
                foreach (var (place, count) in plan.Parts)
                {
                    ref var request = ref now[place];
                    first.TryAdd(request.Id, turns++);
                    taken.AddRange(request.Lengths[request.Next..(request.Next + count)]);
                    request.Next += count;
                    var id = request.Id;
                    queue.RemoveAll(one => one.Id == id);
                    if (request.Next < request.Lengths.Length) { queue.Add(request); }
                }

                Assert.InRange(taken.Count, 1, 8);
                Assert.True(taken.Count == 1 || taken.Sum() <= 100, $"{string.Join(' ', taken)} in batch {batches} of trial {trial}");
                batches++;
            }

            Assert.All(first, pair => Assert.Equal(pair.Key, pair.Value));
        }
    }

    private static WaitingRequest Waiting(TimeSpan since, params int[] lengths) => new(lengths, since);

    private static BatchPlan Next(TimeSpan now, params WaitingRequest[] queue) => Schedule.Next(queue, now);

    private static (int Parts, TimeSpan? Due) Sketch(BatchPlan plan) => (plan.Parts.Count, plan.Due);

    private static (int Request, int Count)[] Parts(BatchPlan plan) => [.. plan.Parts.Select(part => (part.Request, part.Count))];
}
