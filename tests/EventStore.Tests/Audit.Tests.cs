using System.Text;
using Platform.EventStore.Audit;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Tests;

public class A_Merkle_tree
{
    // The leaves and roots that Certificate Transparency's implementations test with.
    private static readonly string[] Leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

    private static readonly string[] Roots =
    [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    private static ReadOnlyMemory<byte> Leaf(long index) => MerkleTree.Leaf(Convert.FromHexString(Leaves[index]));

    [Fact]
    public void has_the_roots_of_RFC_6962()
    {
        var frontier = new MerkleFrontier();
        Assert.Equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Convert.ToHexStringLower(frontier.Root()));
        for (var size = 1; size <= Leaves.Length; size++)
        {
            frontier.Append(Leaf(size - 1).Span);
            Assert.Equal(Roots[size - 1], Convert.ToHexStringLower(MerkleTree.Root(Leaf, size)));
            Assert.Equal(Roots[size - 1], Convert.ToHexStringLower(frontier.Root()));
            frontier = new MerkleFrontier(frontier.Size, frontier.State.ToArray());
        }
    }

    [Fact]
    public void proves_what_is_in_it_and_what_it_grew_from()
    {
        for (var size = 1; size <= Leaves.Length; size++)
        {
            var root = MerkleTree.Root(Leaf, size);
            for (var index = 0; index < size; index++)
            {
                var proof = MerkleTree.InclusionProof(Leaf, index, size);
                Assert.True(MerkleTree.VerifyInclusion(Leaf(index).Span, index, size, proof, root));
                Assert.False(MerkleTree.VerifyInclusion(Leaf((index + 1) % Leaves.Length).Span, index, size, proof, root));
                Assert.False(MerkleTree.VerifyInclusion(Leaf(index).Span, index, size + 1, proof, MerkleTree.Root(Leaf, Math.Min(size + 1, Leaves.Length))) && size < Leaves.Length && proof.Count == 0);
            }

            for (var first = 0; first <= size; first++)
            {
                var proof = MerkleTree.ConsistencyProof(Leaf, first, size);
                Assert.True(MerkleTree.VerifyConsistency(first, MerkleTree.Root(Leaf, first), size, root, proof));
                if (first > 0 && first < size) { Assert.False(MerkleTree.VerifyConsistency(first, MerkleTree.Root(Leaf, first - 1), size, root, proof)); }
            }
        }

        // RFC 6962 section 2.1.3's shape: the proof of leaf 0 in a tree of 7 has three hashes, of leaf 6 two.
        Assert.Equal((3, 2), (MerkleTree.InclusionProof(Leaf, 0, 7).Count, MerkleTree.InclusionProof(Leaf, 6, 7).Count));
    }
}

public class Canonical_JSON
{
    [Theory]
    [InlineData("""{"b":1,"a":2}""", """{"a":2,"b":1}""")]
    [InlineData("""{ "aa" : [ 1 , 2 ] , "b" : { "z":null,"y":true } }""", """{"aa":[1,2],"b":{"y":true,"z":null}}""")]
    [InlineData("""[1.0,1.50,-0,-0.0,0.10,1e3,12e-3,1.5E+2,100,1e0]""", """[1,1.5,0,0,0.1,1000,0.012,150,100,1]""")]
    [InlineData("""["\u0041\u00e9\/\u001f\n\"\\"]""", "[\"A\u00e9/\\u001f\\n\\\"\\\\\"]")]
    [InlineData("""{"\u00e9":1,"z":2,"a":3}""", "{\"a\":3,\"z\":2,\"\u00e9\":1}")]
    [InlineData("123456789012345678901234567890.123", "123456789012345678901234567890.123")]
    [InlineData("{}", "{}")]
    public void is_one_form_for_one_value(string json, string expected)
    {
        Assert.Equal(expected, Encoding.UTF8.GetString(CanonicalJson.Of(Encoding.UTF8.GetBytes(json))));
        Assert.Equal(expected, Encoding.UTF8.GetString(CanonicalJson.Of(Encoding.UTF8.GetBytes(expected))));
    }

    [Theory]
    [InlineData("""{"a":1,"b":2,"a":3}""")]
    [InlineData("""1e9999""")]
    [InlineData("")]
    [InlineData("1 2")]
    public void refuses_what_has_no_one_form(string json) => Assert.ThrowsAny<System.Text.Json.JsonException>(() => CanonicalJson.Of(Encoding.UTF8.GetBytes(json)));
}

public class The_audit_trail
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("", null, -1)]
    [InlineData("update mt_events set data = '{\"By\": 99}' where seq_id = 8", AuditFault.Edited, 7)]
    [InlineData("update mt_events set timestamp = timestamp + interval '1 second' where seq_id = 3", AuditFault.Edited, 2)]
    [InlineData("update mt_events set headers = '{\"user\": \"mallory\"}' where seq_id = 5", AuditFault.Edited, 4)]
    [InlineData("delete from mt_events where seq_id = 11", AuditFault.Deleted, 10)]
    [InlineData("update pl_leaves set seqs = (select array_agg(case when s = 4 then 5 when s = 5 then 4 else s end order by n) from unnest(seqs) with ordinality u(s, n))", AuditFault.Reordered, 3)]
    [InlineData("set session_replication_role = replica; insert into mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id) select 1000, gen_random_uuid(), stream_id, 1000, data, type, timestamp, tenant_id from mt_events where seq_id = 1", AuditFault.Inserted, 30)]
    [InlineData("delete from mt_events where seq_id > 25; delete from pl_leaves where first_index >= 20; update pl_trees set size = 20", AuditFault.Cut, 20)]
    [InlineData("update pl_leaves set hashes = overlay(hashes placing '\\x00'::bytea from 1) where first_index = 0", AuditFault.Edited, 0)]
    [InlineData("update pl_checkpoints set note = replace(note, E'\\n30\\n', E'\\n31\\n')", AuditFault.Forged, 0)]
    public async Task names_the_first_bad_place(string attack, AuditFault? fault, long index)
    {
        await using var rig = await Rig.Start();
        using var folder = new Folder();
        using var key = CheckpointKey.LoadOrCreate(folder["audit-key.pem"]);
        var checkpoints = new Checkpoints(rig.Store, key, folder["anchor"]);
        await using (Sealer.Start(rig.Store))
        {
            var streams = Enumerable.Range(0, 3).Select(_ => Guid.NewGuid()).ToArray();
            for (var i = 0; i < 30; i++)
            {
                await rig.Store.Decide(Rig.Request(streams[i % 3], new Counted(i)) with { Metadata = new EventMetadata("story", $"cause {i}", "ada", new Dictionary<string, string> { ["b"] = "2", ["a"] = "1" }) }, Cancellation);
                if (i is 19 or 29)
                {
                    await rig.Store.WaitBeyond(i, Cancellation);
                    Assert.Equal(1, await checkpoints.Sign(Rig.Noon, Cancellation));
                }
            }
        }

        Assert.Equal(2, Checkpoints.ReadAnchor(folder["anchor"]).Count);
        await using (var connection = await rig.Source.OpenConnectionAsync(Cancellation))
        {
            if (attack.Length > 0) { await Sql.Run(connection, attack + "; reset session_replication_role"); }
        }

        var report = await AuditVerifier.Verify(rig.Store, Rig.Tenant, key, [], Cancellation);
        Assert.Equal((fault, index), (report.Finding?.Fault, report.Finding?.Index ?? -1));
        if (fault is null) { Assert.Equal((30, 2), (report.Events, report.Checkpoints)); }

        // The same from a file, without the database, but for what an export cannot show: an event that was never sealed is not in it.
        using var export = new MemoryStream();
        await AuditVerifier.Export(rig.Store, Rig.Tenant, key, export, Cancellation);
        export.Position = 0;
        using var reader = new StreamReader(export);
        var offline = await AuditVerifier.VerifyExport(reader, key.PublicKey, [], Cancellation);
        if (fault is not AuditFault.Inserted) { Assert.Equal((fault, index), (offline.Finding?.Fault, offline.Finding?.Index ?? -1)); }
    }

    [Fact]
    public async Task that_was_rewritten_whole_is_found_by_the_anchor()
    {
        await using var rig = await Rig.Start();
        using var folder = new Folder();
        using var key = CheckpointKey.LoadOrCreate(folder["audit-key.pem"]);
        await using (Sealer.Start(rig.Store))
        {
            for (var i = 0; i < 10; i++) { await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(i)), Cancellation); }
            await rig.Store.WaitBeyond(9, Cancellation);
            await new Checkpoints(rig.Store, key, folder["anchor"]).Sign(Rig.Noon, Cancellation);
        }

        // Somebody with the database's password edits an event, and lets everything be sealed anew.
        await Sql.Run(rig.Source, """
            update mt_events set data = '{"By": 1000}' where seq_id = 4;
            truncate pl_seals, pl_leaves, pl_trees, pl_checkpoints;
            insert into pl_pending select pg_current_xact_id(), array_agg(seq_id order by seq_id) from mt_events
            """);
        await using (Sealer.Start(rig.Store)) { await rig.Store.WaitBeyond(9, Cancellation); }

        Assert.True((await AuditVerifier.Verify(rig.Store, Rig.Tenant, key, [], Cancellation)).Sound);
        var report = await AuditVerifier.Verify(rig.Store, Rig.Tenant, key, Checkpoints.ReadAnchor(folder["anchor"]), Cancellation);
        Assert.Equal(AuditFault.Edited, report.Finding!.Fault);
    }

    [Fact]
    public void is_signed_by_a_key_that_only_its_owner_reads_and_by_no_other()
    {
        using var folder = new Folder();
        using var key = CheckpointKey.LoadOrCreate(folder["key.pem"]);
        using var again = CheckpointKey.LoadOrCreate(folder["key.pem"]);
        using var other = CheckpointKey.LoadOrCreate(folder["other.pem"]);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["key.pem"]));

        var note = key.Sign(new Checkpoint(key.Origin(TenantId.Default), 7, MerkleTree.EmptyRoot));
        Assert.Equal(7, again.Verify(note)!.Size);
        Assert.Null(other.Verify(note));
        Assert.Null(key.Verify(note.Replace("\n7\n", "\n8\n", StringComparison.Ordinal)));
        Assert.Null(key.Verify("nonsense"));
    }

    [Fact]
    public async Task is_signed_by_one_key_however_many_processes_make_it_at_the_same_time()
    {
        using var folder = new Folder();
        using var start = new Barrier(8);
        var made = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Factory.StartNew(
            () =>
            {
                start.SignalAndWait(Cancellation);
                using var key = CheckpointKey.LoadOrCreate(folder["key.pem"]);
                return key.KeyId;
            },
            Cancellation,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default)));
        Assert.Single(made.Distinct());
        Assert.Equal("key.pem", Assert.Single(Directory.GetFiles(Path.GetDirectoryName(folder["key.pem"])!).Select(Path.GetFileName)));
    }

    private sealed class Folder : IDisposable
    {
        private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("platform-audit");

        public string this[string name] => Path.Combine(folder.FullName, name);

        public void Dispose() => folder.Delete(recursive: true);
    }
}
