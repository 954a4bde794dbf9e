using System.Text;
using Platform.Messaging;

namespace Platform.EventStore.Tests;

public class A_stream
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task is_decided_on_and_read_back_with_its_metadata()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        var metadata = new EventMetadata("story", "cause", "ada@example.org", new Dictionary<string, string> { ["trace"] = "00-1-\"quoted\"" });

        var decided = await rig.Store.Decide(Rig.Request(id, (state, version) => new Decision([new Counted(2), new Labelled("ä\t")], [])) with { Metadata = metadata }, Cancellation);

        Assert.Equal((2, "ä\t", 2), (decided.State!.Total, decided.State.Label, decided.Version));
        var events = await rig.Fetch(id);
        Assert.Equal([new Counted(2), new Labelled("ä\t")], events.Select(e => e.Data));
        Assert.Equal([1L, 2L], events.Select(e => e.Version));
        var first = events[0];
        Assert.Equal(("counted", "counter", Rig.Noon, 1L, 0L), (first.Alias, first.StreamType, first.Timestamp, first.Sequence, first.Position));
        Assert.Equal(7, first.Id.Version);
        Assert.Equal(("story", "cause", "ada@example.org", "00-1-\"quoted\""), (first.Metadata.CorrelationId, first.Metadata.CausationId, first.Metadata.User, first.Metadata.Headers!["trace"]));
        Assert.Equal("object", await Sql.Value<string>(rig.Source, "select distinct jsonb_typeof(headers) from mt_events"));
        Assert.Equal("Platform.EventStore.Tests.Counted, Platform.EventStore.Tests", await Sql.Value<string>(rig.Source, "select mt_dotnet_type from mt_events where version = 1"));
        await rig.AssertSound();
    }

    [Fact]
    public async Task is_read_between_versions_and_until_a_moment_in_any_number_of_pages()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        await rig.Store.Append(Rig.Commit(id, ExpectedVersion.New, [.. Enumerable.Range(1, 700).Select(i => new Counted(i))]), Cancellation);
        await rig.Store.Append(Rig.Commit(id, ExpectedVersion.Exactly(700), [.. Enumerable.Range(701, 400).Select(i => new Counted(i))]) with { Timestamp = Rig.Noon.AddHours(1) }, Cancellation);

        Assert.Equal(Enumerable.Range(1, 1100), (await rig.Fetch(id)).Select(e => ((Counted)e.Data).By));
        Assert.Equal([699L, 700L, 701L], (await rig.Fetch(id, 699, 701)).Select(e => e.Version));
        Assert.Equal(700, (await rig.Fetch(id, until: Rig.Noon)).Count);
        Assert.Equal(1100 * 1101 / 2, (await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).State!.Total);
        Assert.Equal(1100, (await rig.Store.Load(Rig.Tenant, id, Counter.Count, Cancellation)).State!.Number);
        Assert.Empty(await rig.Fetch(Guid.NewGuid()));
    }

    [Fact]
    public async Task keeps_every_fold_that_was_asked_of_it_up_to_date()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        Assert.Null((await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).State);
        await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);
        Assert.Equal(1, (await rig.Store.Load(Rig.Tenant, id, Counter.Count, Cancellation)).State!.Number);
        await rig.Store.Decide(Rig.Request(id, new Counted(1), new Counted(5)), Cancellation);
        await rig.Store.Append(Rig.Commit(id, ExpectedVersion.Any, new Counted(10)), Cancellation);

        Assert.Equal(4, (await rig.Store.Load(Rig.Tenant, id, Counter.Count, Cancellation)).State!.Number);
        Assert.Equal((17, 4L), ((await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)) is var l ? l.State!.Total : 0, l.Version));
    }

    [Fact]
    public async Task of_another_tenant_is_another_stream()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);
        var other = await rig.Store.Decide(Rig.Request(id, new Counted(5)) with { Tenant = new TenantId("acme") }, Cancellation);

        Assert.Equal((5, 1L), (other.State!.Total, other.Version));
        Assert.Single(await rig.Fetch(id));
    }

    [Fact]
    public async Task reads_events_of_an_older_version_and_stops_at_one_it_does_not_know()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        await Sql.Run(rig.Source, Marten.Append(id.ToString(), 1, "named", """{"Name": "Ada Lovelace"}"""));

        Assert.Equal("Lovelace, Ada", (await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).State!.Name);
        Assert.Equal(new Named("Ada", "Lovelace"), (await rig.Fetch(id)).Single().Data);

        await Sql.Run(rig.Source, Marten.Append(id.ToString(), 1, "from_the_future"));
        await Assert.ThrowsAsync<UnknownEventException>(() => rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation));
        await rig.AssertSound();
    }

    [Fact]
    public async Task that_is_archived_can_be_read_and_not_appended_to()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);

        Assert.True(await rig.Store.Archive(Rig.Tenant, id, Cancellation));
        Assert.False(await rig.Store.Archive(Rig.Tenant, Guid.NewGuid(), Cancellation));

        await Assert.ThrowsAsync<StreamArchivedException>(() => rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation));
        await Assert.ThrowsAsync<StreamArchivedException>(() => rig.Store.Append(Rig.Commit(id, ExpectedVersion.Any, new Counted(1)), Cancellation));
        await Assert.ThrowsAsync<StreamArchivedException>(() => rig.Store.Append(Rig.Commit(id, ExpectedVersion.Exactly(1), new Counted(1)), Cancellation));
        Assert.Single(await rig.Fetch(id));
        Assert.True(await Sql.Value<bool>(rig.Source, "select is_archived from mt_events"));
        await rig.AssertSound();
    }

    [Fact]
    public async Task goes_on_after_Marten_has_appended_to_it()
    {
        await using var rig = await Rig.Start(o => o with { TrustMemory = TimeSpan.FromHours(1) });
        var id = Guid.NewGuid();
        await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);
        await Sql.Run(rig.Source, Marten.Append(id.ToString(), 2));
        var seen = new List<(int?, long)>();

        var decided = await rig.Store.Decide(
            Rig.Request(id, (state, version) =>
            {
                seen.Add((state?.Total, version));
                return new Decision([new Counted(10)], []);
            }),
            Cancellation);

        Assert.Equal([(1, 1L), (3, 3L)], seen);
        Assert.Equal((13, 4L), (decided.State!.Total, decided.Version));
        await rig.AssertSound();
    }

    [Fact]
    public async Task is_loaded_anew_after_another_process_appended_unless_memory_is_trusted()
    {
        await using var rig = await Rig.Start();
        var trusting = await rig.Another(o => o with { TrustMemory = TimeSpan.FromHours(1) });
        var id = Guid.NewGuid();
        await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);
        Assert.Equal(1, (await trusting.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).Version);
        await Sql.Run(rig.Source, Marten.Append(id.ToString(), 1));

        Assert.Equal(2, (await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).Version);
        Assert.Equal(1, (await trusting.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).Version);
    }
}

public class Decisions
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task on_one_stream_are_made_in_turn_each_with_its_own_moment_and_metadata()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();

        var decided = await Task.WhenAll(Enumerable.Range(1, 300).Select(i => rig.Store.Decide(
            Rig.Request(id, (state, version) => new Decision([new Counted(1)], [])) with { Timestamp = Rig.Noon.AddSeconds(i), Metadata = new EventMetadata(CorrelationId: $"{i}") }, Cancellation)));

        Assert.Equal(Enumerable.Range(1, 300).Select(i => (long)i), decided.Select(d => d.Version).Order());
        Assert.All(decided, d => Assert.Equal(d.Version, d.State!.Total));
        var events = await rig.Fetch(id);
        Assert.Equal(300, events.Count);
        Assert.All(events, e => Assert.Equal(Rig.Noon.AddSeconds(int.Parse(e.Metadata.CorrelationId!)), e.Timestamp));
        await rig.AssertSound();
    }

    [Fact]
    public async Task that_throw_fail_only_their_own_caller()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();

        var decisions = Enumerable.Range(0, 100).Select(i => rig.Store.Decide(
            Rig.Request(id, (_, _) => i % 10 == 3 ? throw new FormatException($"{i}") : new Decision([new Counted(1)], [])), Cancellation)).ToList();

        for (var i = 0; i < decisions.Count; i++)
        {
            if (i % 10 == 3) { await Assert.ThrowsAsync<FormatException>(() => decisions[i]); }
            else { await decisions[i]; }
        }

        Assert.Equal(90, (await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).State!.Total);
        await rig.AssertSound();
    }

    [Fact]
    public async Task that_PostgreSQL_cannot_store_fail_only_their_own_caller()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();

        // jsonb has no U+0000.
        var decisions = Enumerable.Range(0, 40).Select(i => rig.Store.Decide(Rig.Request(i % 2 == 0 ? id : Guid.NewGuid(), i == 17 || i == 20 ? new Labelled("\0") : new Counted(1)), Cancellation)).ToList();

        for (var i = 0; i < decisions.Count; i++)
        {
            if (i is 17 or 20) { await Assert.ThrowsAsync<ArgumentException>(() => decisions[i]); }
            else { await decisions[i]; }
        }

        Assert.Equal(19, (await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).State!.Total);
        await rig.AssertSound(gapless: false);
    }

    [Fact]
    public async Task of_nothing_ask_the_database_nothing()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);
        await Sql.Run(rig.Source, "alter table mt_events rename to hidden; alter table mt_streams rename to hidden2");

        var decided = await rig.Store.Decide(Rig.Request(id), Cancellation);

        Assert.Equal((1, 1L), (decided.State!.Total, decided.Version));
    }

    [Fact]
    public async Task cancelled_while_they_wait_are_not_made()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        using var cancel = new CancellationTokenSource();
        using var entered = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        var first = Task.Run(() => rig.Store.Decide(
            Rig.Request(id, (_, _) =>
            {
                entered.Set();
                go.Wait(Cancellation);
                return new Decision([new Counted(1)], []);
            }),
            Cancellation), Cancellation);
        entered.Wait(Cancellation);
        var second = rig.Store.Decide(Rig.Request(id, new Counted(100)), cancel.Token);
        await cancel.CancelAsync();
        go.Set();

        await first;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.Equal(1, (await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).State!.Total);
    }

    [Fact]
    public async Task of_many_writers_in_two_processes_conflict_and_lose_nothing()
    {
        await using var rig = await Rig.Start();
        var other = await rig.Another();
        var streams = Enumerable.Range(0, 4).Select(_ => Guid.NewGuid()).ToArray();

        await Task.WhenAll(Enumerable.Range(0, 64).Select(writer => Task.Run(async () =>
        {
            for (var i = 0; i < 15; i++)
            {
                var store = writer % 2 == 0 ? rig.Store : other;
                var decided = await store.Decide(Rig.Request(streams[(writer + i) % 4], new Counted(1), new Labelled($"{writer}")), Cancellation);
                Assert.Equal(decided.Version, decided.State!.Total * 2L);
            }
        })));

        foreach (var stream in streams) { Assert.Equal(240, (await other.Load(Rig.Tenant, stream, Counter.Fold, Cancellation)).State!.Total); }
        await rig.AssertSound();
    }

    [Fact]
    public async Task survive_connections_that_are_cut_under_load_each_once()
    {
        await using var rig = await Rig.Start();
        var streams = Enumerable.Range(0, 6).Select(_ => Guid.NewGuid()).ToArray();
        using var done = new CancellationTokenSource();
        var (cuts, decided) = (0, 0);
        var cutter = Task.Run(async () =>
        {
            await using var admin = Npgsql.NpgsqlDataSource.Create(rig.Database.ConnectionString + ";Application Name=cutter;Pooling=false");
            while (!done.IsCancellationRequested)
            {
                Interlocked.Add(ref cuts, (await Sql.List<bool>(admin, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name <> 'cutter' and state = 'active' and pid <> pg_backend_pid()")).Count);
            }
        }, Cancellation);

        await Task.WhenAll(Enumerable.Range(0, 24).Select(writer => Task.Run(async () =>
        {
            for (var i = 0; i < 20 || Volatile.Read(ref cuts) < 5; i++)
            {
                // A caller asks again with another event: what was told as not done must not be there.
                while (true)
                {
                    try
                    {
                        await rig.Store.Decide(Rig.Request(streams[(writer + i) % 6], new Counted(1)), Cancellation);
                        Interlocked.Increment(ref decided);
                        break;
                    }
                    catch (StoreUnavailableException) { Cancellation.ThrowIfCancellationRequested(); }
                }
            }
        })));
        await done.CancelAsync();
        await cutter;

        Assert.Equal(decided, await Sql.Value<long>(rig.Source, "select count(*) from mt_events"));
        await rig.AssertSound(gapless: false);
    }

    [Fact]
    public async Task are_folded_from_what_redaction_left()
    {
        await using var rig = await Rig.Start(o => o with { Redact = json => Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(json.Span).Replace("secret", "[redacted]", StringComparison.Ordinal)) });
        var id = Guid.NewGuid();

        var decided = await rig.Store.Decide(Rig.Request(id, new Labelled("a secret b")), Cancellation);

        Assert.Equal("a [redacted] b", decided.State!.Label);
        Assert.Equal(new Labelled("a [redacted] b"), (await rig.Fetch(id)).Single().Data);
        Assert.Equal(0, await Sql.Value<long>(rig.Source, "select count(*) from mt_events where data::text like '%secret%'"));
    }

    [Fact]
    public async Task on_more_streams_than_memory_keeps_are_made_from_the_log()
    {
        await using var rig = await Rig.Start(o => o with { MaxLanes = 3 });
        var streams = Enumerable.Range(0, 20).Select(_ => Guid.NewGuid()).ToArray();
        for (var round = 1; round <= 3; round++)
        {
            var decided = await Task.WhenAll(streams.Select(s => rig.Store.Decide(Rig.Request(s, new Counted(1)), Cancellation)));
            Assert.All(decided, d => Assert.Equal((round, (long)round), (d.State!.Total, d.Version)));
        }

        await rig.AssertSound();
    }
}

public class A_commit
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static readonly byte[] Hash = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    [Fact]
    public async Task appends_to_all_its_streams_or_to_none()
    {
        await using var rig = await Rig.Start();
        var (a, b, c) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        await rig.Store.Append(Rig.Commit(new StreamAppend(a, "counter", ExpectedVersion.New, [new Counted(1)]), new StreamAppend(b, "counter", ExpectedVersion.Any, [new Counted(1)])), Cancellation);

        var conflict = await Assert.ThrowsAsync<VersionConflictException>(() => rig.Store.Append(
            Rig.Commit(
                new StreamAppend(a, null, ExpectedVersion.Exactly(1), [new Counted(1)]),
                new StreamAppend(b, null, ExpectedVersion.Exactly(7), [new Counted(1)]),
                new StreamAppend(c, null, ExpectedVersion.New, [new Counted(1)])),
            Cancellation));

        Assert.Equal((b, 1L, ExpectedVersion.Exactly(7)), (conflict.StreamId, conflict.Actual, conflict.Expected));
        Assert.Single(await rig.Fetch(a));
        Assert.Empty(await rig.Fetch(c));
        await rig.Store.Append(Rig.Commit(new StreamAppend(a, null, ExpectedVersion.Exactly(1), [new Counted(1)]), new StreamAppend(b, null, ExpectedVersion.Any, [new Counted(1), new Counted(2)])), Cancellation);
        Assert.Equal([1L, 2L, 3L], (await rig.Fetch(b)).Select(e => e.Version));
        await rig.AssertSound();
    }

    [Fact]
    public async Task to_a_stream_that_exists_is_no_new_stream()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        var racing = await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
        {
            try
            {
                await rig.Store.Append(Rig.Commit(id, ExpectedVersion.New, new Counted(1)), Cancellation);
                return true;
            }
            catch (VersionConflictException conflict)
            {
                Assert.Equal(1, conflict.Actual);
                return false;
            }
        }));

        Assert.Equal(1, racing.Count(won => won));
        await rig.AssertSound();
    }

    [Fact]
    public async Task with_a_known_command_id_answers_what_it_answered_then()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        var entry = new InboxEntry("command-1", Hash, "{\"ok\":1}"u8.ToArray());
        var commit = Rig.Commit(id, ExpectedVersion.Any, new Counted(1)) with { Inbox = entry };

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(i => rig.Store.Append(commit with { Inbox = entry with { Answer = Encoding.UTF8.GetBytes($"{i}") } }, Cancellation)));

        Assert.Single(answers, a => a is null);
        var told = Assert.Single(answers.OfType<InboxEntry>().Select(a => Encoding.UTF8.GetString(a.Answer.Span)).Distinct());
        Assert.Equal(told, Encoding.UTF8.GetString((await rig.Store.Append(commit, Cancellation))!.Answer.Span));
        var decided = await rig.Store.Decide(Rig.Request(id, new Counted(1)) with { Inbox = entry }, Cancellation);
        Assert.Equal(told, Encoding.UTF8.GetString(decided.Recorded!.Answer.Span));
        Assert.Equal(1, decided.State!.Total);
        Assert.Single(await rig.Fetch(id));

        var another = entry with { RequestHash = new byte[32] };
        await Assert.ThrowsAsync<CommandConflictException>(() => rig.Store.Append(commit with { Inbox = another }, Cancellation));
        await Assert.ThrowsAsync<CommandConflictException>(() => rig.Store.Decide(Rig.Request(id, new Counted(1)) with { Inbox = another }, Cancellation));
        await rig.AssertSound();
    }

    [Fact]
    public async Task of_a_chain_that_is_refused_in_its_middle_is_decided_again()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        var entry = new InboxEntry("c", Hash, "1"u8.ToArray());
        await rig.Store.Append(new Commit { Tenant = Rig.Tenant, Timestamp = Rig.Noon, Inbox = entry }, Cancellation);
        await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);

        var decided = await Task.WhenAll(Enumerable.Range(0, 50).Select(i => rig.Store.Decide(Rig.Request(id, new Counted(1)) with { Inbox = i % 7 == 3 ? entry : null }, Cancellation)));

        Assert.Equal(7, decided.Count(d => d.Recorded is not null));
        Assert.Equal(44, (await rig.Store.Load(Rig.Tenant, id, Counter.Fold, Cancellation)).State!.Total);
        await rig.AssertSound();
    }

    [Fact]
    public async Task tells_who_seals_in_this_process_and_who_listens_in_another()
    {
        await using var rig = await Rig.Start();
        var other = await rig.Another();
        await other.Listener.Start();
        var heard = other.Listener.Next(Listener.Wake);
        var told = new TaskCompletionSource<int>();
        rig.Store.Committed += told.SetResult;

        await rig.Store.Append(Rig.Commit(Guid.NewGuid(), ExpectedVersion.New, new Counted(1), new Counted(2)), Cancellation);

        Assert.Equal(2, await told.Task);
        await heard.WaitAsync(TimeSpan.FromSeconds(30), Cancellation);
    }

    [Fact]
    public async Task is_refused_past_each_limit()
    {
        await using var rig = await Rig.Start(o => o with
        {
            Limits = new StoreLimits { EventBytes = 100, EventsPerCommit = 3, StreamsPerCommit = 2, MessagesPerCommit = 1, MessageBytes = 10, AnswerBytes = 5, CommandIdLength = 5, Headers = 1, MetadataLength = 20, MessageNameLength = 5 },
        });
        var id = Guid.NewGuid();
        Envelope Message(int bytes = 2, string type = "t") => new(Guid.NewGuid(), Rig.Tenant, type, null, Encoding.UTF8.GetBytes(new string('1', bytes)), EventMetadata.None);
        var good = Rig.Commit(id, ExpectedVersion.Any, new Counted(1));
        StreamAppend New() => new(Guid.NewGuid(), null, ExpectedVersion.New, [new Counted(1)]);
        (string, Commit)[] past =
        [
            ("event bytes", Rig.Commit(id, ExpectedVersion.Any, new Labelled(new string('x', 100)))),
            ("events a commit", Rig.Commit(id, ExpectedVersion.Any, new Counted(1), new Counted(1), new Counted(1), new Counted(1))),
            ("streams a commit", Rig.Commit(New(), New(), New())),
            ("messages a commit", good with { Messages = [Message(), Message()] }),
            ("message bytes", good with { Messages = [Message(11)] }),
            ("message name length", good with { Messages = [Message(1, "abcdef")] }),
            ("answer bytes", good with { Inbox = new InboxEntry("c", Hash, "123456"u8.ToArray()) }),
            ("command id length", good with { Inbox = new InboxEntry("abcdef", Hash, "1"u8.ToArray()) }),
            ("headers", good with { Metadata = new EventMetadata(Headers: new Dictionary<string, string> { ["a"] = "1", ["b"] = "2" }) }),
            ("metadata length", good with { Metadata = new EventMetadata(User: new string('u', 21)) }),
            ("metadata length", good with { Metadata = new EventMetadata(CausationId: new string('u', 21)) }),
            ("metadata length", good with { Metadata = new EventMetadata(Headers: new Dictionary<string, string> { ["a"] = new string('u', 21) }) }),
        ];

        foreach (var (limit, commit) in past)
        {
            Assert.Equal(limit, (await Assert.ThrowsAsync<LimitExceededException>(() => rig.Store.Append(commit, Cancellation))).Limit);
        }

        await Assert.ThrowsAsync<LimitExceededException>(() => rig.Store.Decide(Rig.Request(id, new Counted(1), new Counted(1), new Counted(1), new Counted(1)), Cancellation));
        await Assert.ThrowsAsync<LimitExceededException>(() => rig.Store.Decide(Rig.Request(id, new Labelled(new string('x', 100))), Cancellation));
        await Assert.ThrowsAsync<ArgumentException>(() => rig.Store.Append(good with { Inbox = new InboxEntry("c", new byte[31], "1"u8.ToArray()) }, Cancellation));
        await Assert.ThrowsAsync<ArgumentException>(() => rig.Store.Append(Rig.Commit(good.Streams[0], good.Streams[0]), Cancellation));
        Assert.Equal(0, await Sql.Value<long>(rig.Source, "select count(*) from mt_events"));
        await rig.Store.Append(good, Cancellation);
    }

    [Fact]
    public async Task is_told_as_unavailable_while_the_database_refuses_and_passes_afterwards_without_a_restart()
    {
        await using var rig = await Rig.Start(o => o with { Patience = TimeSpan.FromMilliseconds(200), Deadline = TimeSpan.FromSeconds(1) });
        var id = Guid.NewGuid();
        await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);
        await using var admin = Npgsql.NpgsqlDataSource.Create(Npgsql_Postgres(rig));
        await Sql.Run(admin, $"alter database {rig.Database.Name} allow_connections false");
        await Sql.Run(admin, $"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{rig.Database.Name}'");

        await Assert.ThrowsAsync<StoreUnavailableException>(() => rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation));
        await Assert.ThrowsAsync<StoreUnavailableException>(() => rig.Store.Append(Rig.Commit(id, ExpectedVersion.Any, new Counted(1)), Cancellation));
        await Assert.ThrowsAsync<StoreUnavailableException>(() => rig.Fetch(id));

        await Sql.Run(admin, $"alter database {rig.Database.Name} allow_connections true");
        var decided = await rig.Store.Decide(Rig.Request(id, new Counted(1)), Cancellation);
        Assert.Equal((2, 2L), (decided.State!.Total, decided.Version));
        await rig.AssertSound();
    }

    [Fact]
    public async Task waits_no_longer_than_its_deadline_and_passes_when_the_database_moves_again()
    {
        await using var rig = await Rig.Start(o => o with { CommandTimeoutSeconds = 1, Patience = TimeSpan.FromMilliseconds(1), Deadline = TimeSpan.FromSeconds(5) });
        var id = Guid.NewGuid();
        await using var admin = Npgsql.NpgsqlDataSource.Create(rig.Database.ConnectionString);
        await using (var holding = await admin.OpenConnectionAsync(Cancellation))
        await using (var transaction = await holding.BeginTransactionAsync(Cancellation))
        {
            await using var hold = new Npgsql.NpgsqlCommand("lock table mt_streams in access exclusive mode", holding);
            await hold.ExecuteNonQueryAsync(Cancellation);
            await Assert.ThrowsAsync<StoreUnavailableException>(() => rig.Store.Append(Rig.Commit(id, ExpectedVersion.New, new Counted(1)), Cancellation));
        }

        await rig.Store.Append(Rig.Commit(id, ExpectedVersion.New, new Counted(1)), Cancellation);
        await rig.AssertSound();
    }

    private static string Npgsql_Postgres(Rig rig) => new Npgsql.NpgsqlConnectionStringBuilder(rig.Database.ConnectionString) { Database = "postgres", Pooling = false }.ConnectionString;
}
