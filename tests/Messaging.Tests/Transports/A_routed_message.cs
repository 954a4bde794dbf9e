using System.Runtime.CompilerServices;
using Platform.Testing;
using Platform.Tests.Counting;

namespace Platform.Messaging.Tests;

public sealed class A_routed_message : Rig
{
    private readonly InMemoryStore here = new(Handlers.Table.EventTypes());
    private readonly InMemoryStore there = new(Handlers.Table.EventTypes());
    private readonly InMemoryTransport broker = new("broker");

    private static Func<BusOptions, BusOptions> Over(IMessageTransport transport, bool receives) =>
        options => options with { Transports = [new TransportEndpoint(transport, receives ? [] : ["errand"], receives)] };

    [Fact]
    public async Task is_handled_where_it_is_received()
    {
        var sender = await Node(here, here, (_, _) => throw new InvalidOperationException("Not here."), with: Over(broker, receives: false));
        var receiver = await Node(there, there, One, with: Over(broker, receives: true));
        await Ask(receiver, new OpenCounter(Id, 0));
        await Ask(sender, new Burst(Id, 5));
        await Until(async () => (await Counter(there, Id))?.Total == 5);
        await Until(() => here.Pending.Count == 0 && there.Pending.Count == 0);
        Assert.Equal(0, (await Counter(here, Id))!.Total);
    }

    [Fact]
    public async Task may_come_back_to_the_store_that_it_left()
    {
        var bus = await Node(here, here, One, with: options => options with { Transports = [new TransportEndpoint(broker, ["errand"])] });
        await Ask(bus, new Burst(Id, 5));
        await Until(async () => (await Counter(here, Id))?.Total == 5);
        await Until(() => here.Pending.Count == 0);
    }

    [Fact]
    public async Task is_handled_once_however_often_it_comes()
    {
        var sender = await Node(here, here, One, with: Over(new Faulty(broker, times: 2), receives: false));
        var receiver = await Node(there, there, One, with: Over(broker, receives: true));
        await Ask(receiver, new OpenCounter(Id, 0));
        await Ask(sender, new Burst(Id, 3));
        await Until(() => here.Pending.Count == 0);

        // What is sent last comes last: then every copy has come.
        var last = new CounterId(Guid.NewGuid());
        await Ask(receiver, new OpenCounter(last, 0));
        await Ask(sender, new Burst(last, 1));
        await Until(async () => (await Counter(there, last))?.Total == 1);
        Assert.Equal(3, (await Counter(there, Id))!.Total);
    }

    [Fact]
    public async Task stays_in_its_table_until_the_transport_has_taken_it()
    {
        var time = new FakeTime();
        var faulty = new Faulty(broker) { Failures = 20 };
        var sender = await Node(here, here, One, time: time, with: Over(faulty, receives: false));
        var receiver = await Node(there, there, One, with: Over(broker, receives: true));
        await Ask(receiver, new OpenCounter(Id, 0));
        await Ask(sender, new Burst(Id, 1));
        for (var failed = 1; failed <= 20; failed++)
        {
            await Until(() => faulty.Failed == failed && time.Armed == 1);
            Assert.Equal("errand", Assert.Single(here.Pending).Type);
            time.Advance(TimeSpan.FromSeconds(60));
        }

        await Until(async () => (await Counter(there, Id))?.Total == 1);
        Assert.Empty(await here.DeadLetters(null, 10, Cancellation));
    }

    [Theory]
    [InlineData(CommitFault.AwayBefore)]
    [InlineData(CommitFault.AwayAfter)]
    public async Task is_taken_once_though_the_receivers_store_goes_away(CommitFault fault)
    {
        var commits = 0;
        var receiver = await Node(there, there, One, with: Over(broker, receives: true));
        await Ask(receiver, new OpenCounter(Id, 0));
        there.Fault = () => Interlocked.Increment(ref commits) <= 2 ? fault : CommitFault.None;
        var sender = await Node(here, here, One, with: Over(broker, receives: false));
        await Ask(sender, new Burst(Id, 1));
        await Until(async () => (await Counter(there, Id))?.Total == 1);
        await Until(() => there.Pending.Count == 0 && receiver.InMemory == 0);
    }

    [Fact]
    public async Task under_the_id_of_another_is_put_aside()
    {
        await Node(there, there, One, with: Over(broker, receives: true));
        var one = new Envelope(Guid.NewGuid(), TenantId.Default, "errand", null, "{}"u8.ToArray(), EventMetadata.None);
        await broker.Send(one, Cancellation);
        await broker.Send(one with { Body = "[]"u8.ToArray() }, Cancellation);
        await Until(() => broker.Rejected.Count == 1);
    }

    [Fact]
    public void has_one_way_out_and_a_name_that_exists()
    {
        static Func<BusOptions, BusOptions> With(params TransportEndpoint[] endpoints) => options => options with { Transports = endpoints };
        Assert.Throws<ArgumentException>(() => Quiet(here, here, One, with: With(new TransportEndpoint(broker, ["erand"]))));
        Assert.Throws<ArgumentException>(() => Quiet(here, here, One, with: With(new TransportEndpoint(broker, ["errand"]), new TransportEndpoint(new InMemoryTransport("b"), ["errand"]))));
        Assert.Throws<ArgumentException>(() => Quiet(here, here, One, with: With(new TransportEndpoint(broker, []), new TransportEndpoint(new InMemoryTransport("broker"), []))));
    }

    /// <summary>Fails so often, and then sends everything several times.</summary>
    private sealed class Faulty(IMessageTransport behind, int times = 1) : IMessageTransport
    {
        private int failed;

        public int Failures { get; init; }

        public int Failed => Volatile.Read(ref failed);

        public string Name => behind.Name;

        public async Task Send(Envelope envelope, CancellationToken cancellation)
        {
            if (failed < Failures)
            {
                Interlocked.Increment(ref failed);
                throw new IOException("The broker is away.");
            }

            for (var i = 0; i < times; i++) { await behind.Send(envelope, cancellation); }
        }

        public async IAsyncEnumerable<IDelivery> Receive(int unacknowledged, [EnumeratorCancellation] CancellationToken cancellation)
        {
            await foreach (var delivery in behind.Receive(unacknowledged, cancellation)) { yield return delivery; }
        }
    }
}
