using Platform.Messaging;

namespace Platform.EventStore.Tests;

public sealed class Who_listens_to_a_stream
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task hears_of_what_is_appended_to_it_here_and_of_no_other()
    {
        await using var rig = await Rig.Start();
        var (own, other) = (Guid.NewGuid(), Guid.NewGuid());
        using var listener = rig.Store.Listen(Rig.Tenant, own);

        await rig.Store.Decide(Rig.Request(other, new Counted(1)), Cancellation);
        Assert.False(await listener.Next(TimeSpan.Zero, Cancellation));
        await rig.Store.Decide(Rig.Request(own, new Counted(1)), Cancellation);
        Assert.True(await listener.Next(TimeSpan.Zero, Cancellation));
        Assert.False(await listener.Next(TimeSpan.Zero, Cancellation));
        await rig.Store.Append(Rig.Commit(own, ExpectedVersion.Exactly(1), new Counted(1)), Cancellation);
        Assert.True(await listener.Next(TimeSpan.Zero, Cancellation));
    }

    [Fact]
    public async Task may_wait_for_a_state_whichever_process_brings_it_about()
    {
        await using var rig = await Rig.Start();
        var another = await rig.Another();
        var stream = Guid.NewGuid();

        var waits = rig.Store.WaitUntil(Rig.Tenant, stream, Counter.Fold, counter => counter?.Total == 3, Cancellation);
        await rig.Store.Decide(Rig.Request(stream, new Counted(1)), Cancellation);
        await another.Decide(Rig.Request(stream, new Counted(2)), Cancellation);

        Assert.Equal(2, (await waits).Version);
    }
}
