"""The sha256 of the uncompressed files of the recorded traces of jobs, by folder."""

from __future__ import annotations

from clustersim.traces.catalog_entry import TraceFile

_SOCRATES_COMMIT = "e246978bc615da77d23203d57ac14b8b802340f2"
SOCRATES_URL = f"https://raw.githubusercontent.com/EpiSci/SoCRATES/{_SOCRATES_COMMIT}/gym_ds3/data/"


def _listed(folder: str, lines: str, base_url: str = "") -> list[TraceFile]:
    """One file a line, checksum and name; `base_url` where the folder is not at that of the trace."""
    pairs = [line.split() for line in lines.split("\n") if line.strip()]
    return [TraceFile(folder + name, sha256, base_url + name if base_url else "") for sha256, name in pairs]


WFINSTANCES = (
    *_listed(
        "helloworld/",
        """
        310fb01ec5469015dd6ce59f97f0394638bcbefe2c89fe7007e643928bcfb424 helloworld-chain-5-chameleon.json
        7046b65845190ed9cb009d5b740c51826c61768a88e6f8b997ea373558c871df helloworld-forkjoin-10-chameleon.json
        """,
    ),
    *_listed(
        "makeflow/blast/",
        """
        e6c68e9137a6be3255c62bd9cbc6d7583edc397d9e03f1854e05c24ee90d8022 blast-chameleon-large-003.json
        5f0578e68587626c94211944a17f494080a9f661cc7eb691048ee40dc5b3751d blast-chameleon-medium-002.json
        415b6c8acd7f520fcd8a837d23e0ee110a62e4ea20199c1b3dcd49c076cf6b03 blast-chameleon-medium-003.json
        833439912d75c93e8df71f1956e45386b19c01afea90602771185746a6a4764f blast-chameleon-small-003.json
        21370362797d2c7138f51584043e1e8e3c43c735ce6666e8be18e43f3c43ef8d blast-chameleon-small-005.json
        """,
    ),
    *_listed(
        "makeflow/bwa/",
        """
        e7e0cf895c403eb7e10763c09f2ed167c473f6ef6d515b1b32dfd0cbe8675c21 bwa-chameleon-large-005.json
        880ae0eb818f21f14451935497584cde7f2fa2659f6c229a0a98a733b35efb4c bwa-chameleon-medium-005.json
        ef7e46be7d2770ecf82a59677a3fd49a5f8d72890ff05318051afe14edff9080 bwa-chameleon-small-001.json
        """,
    ),
    *_listed(
        "nextflow/",
        """
        4cbab2c46e2d7c6094701d5a9d03bc4675d59bbb96effc2ae3c255c5a4fb2999 bacass-dirt02-001.json
        734bff0981e242db5f641181d4487a75ad72cbd2944a0440f9bc4088d9106573 chipseq-dirt02-001.json
        7c910190bbaaab253ea7127d85be6140692c41d06b17de5bd31556dd66d9de5f fetchngs-dirt02-001.json
        e619c25b4cf2866123c8b18de6a4af142428954ed736671063f1bd1592e99f35 hic-dirt02-001.json
        62b1383fa93f0d00d65eaee0dae0f4052e8358d4798b6de5377acc488000fc6d methylseq-dirt02-001.json
        a1a4797f888f69378dd4b1bc3130b62ccd5db8ce5b9e6c679ca41df8d648956e rnaseq-dirt02-001.json
        0c80654c4ddbd2c4316ee20fd8140fc5282f22e7cebdfd64363e33b689814563 sarek-dirt02-001.json
        34c75549fcd4ff84ca399727718915940666fcd0f6ad2538ed347543578f3574 scrnaseq-dirt02-001.json
        2fdf23909e7b5bc65e22fa363a6fd1052127c376e4045c5c6ba3bc5cfaf9f9e1 smrnaseq-dirt02-001.json
        16442583de2db6e46dfe4aba025d18e8652a912000c817990b28ce800f71899b taxprofiler-dirt02-001.json
        22be6ae9d40e79c8894c9833d9460c18e8c402916c7b9e6f83da9718efd2b079 viralrecon-dirt02-001.json
        """,
    ),
    *_listed(
        "pegasus/1000genome/",
        """
        9785444ed03c7c68cc39e2aab1069e16c78091e253aa0deeea311601d5fb9521 1000genome-chameleon-12ch-100k-001.json
        f501633c93c09cb0ff5785d19608d6e984ed32b67b032dd1d2bb696427373e0d 1000genome-chameleon-14ch-250k-001.json
        5c6d36632633d388e4676896ced0a3492046c17a75492748e1800ee6044c973e 1000genome-chameleon-18ch-100k-001.json
        90830792e0d7266ab63e9e6b927d549909661031c3d7dd021875995de464e70c 1000genome-chameleon-22ch-250k-001.json
        dfbaa266f7902cf92595a1d87b4947676a1281f85f994dea1ba0d9db34ae5f3d 1000genome-chameleon-2ch-100k-001.json
        c11866bc3ccb0866d33dc839a481ac50e94f7456a633dec33e3c35c97d1312bc 1000genome-chameleon-4ch-250k-001.json
        """,
    ),
    *_listed(
        "pegasus/cycles/",
        """
        963147ee97d4c17bf2f807ddca2abf305419c45a72b67215f7f1681eff8fe0cf cycles-chameleon-10l-1c-9p-001.json
        fcd1ad8f0969db329e1899fd6c357a9205b13a64742699467b0ce7048b844cc6 cycles-chameleon-1l-1c-9p-001.json
        a6347c64c2f227c3ed8e39d56b318b69049aabc5fbc2c73140e697f9ae5a2632 cycles-chameleon-1l-2c-9p-001.json
        1953d575201080fd222ce026865a279ffdf16e52e2c0e4d63160d8f0a072143e cycles-chameleon-1l-3c-12p-001.json
        50fd7155ce97f19bd4c946c5d35e663c34b9aa2d8ce446d73d2c4edaa56adc67 cycles-chameleon-2l-2c-9p-001.json
        67fe9ac66f8039b18604dc996a5f6513a4c0a586b328edfcbdf18ca748b6c723 cycles-chameleon-2l-3c-9p-001.json
        """,
    ),
    *_listed(
        "pegasus/epigenomics/",
        """
        51c22cd98a078adc4303fe19dfcf7b7186f6d3e0c0cadddb10bb901cee01fa5d epigenomics-chameleon-hep-1seq-100k-001.json
        970b71af3cdee9f78f819ed3930b684b53e52ee6c8f35f0b6c09ff910e6cf64c epigenomics-chameleon-hep-3seq-100k-001.json
        e10731e3cc1e116327a5a127cd528981b5ca71e1a0d5681fa8e3a6bf545c0850 epigenomics-chameleon-hep-3seq-50k-001.json
        91654cdf44aeae2b0c22d31834487162d3fbf3c0e28b94b2f97821057fe429b0 epigenomics-chameleon-ilmn-4seq-100k-001.json
        1f356148d5638d7b00990500ec683654012f79b3302f9c17fc108d13674a558e epigenomics-chameleon-ilmn-6seq-100k-001.json
        d320f525c2c93cfcf616d3a45470afc270311cc502bc0c531d0a6edb814f5a09 epigenomics-chameleon-ilmn-6seq-50k-001.json
        """,
    ),
    *_listed(
        "pegasus/montage/",
        """
        d48ebd2e26e34a2c086cb4284b2fccc28a8708c4fcb5e323cce6e2280a336889 montage-chameleon-2mass-015d-001.json
        0a1073feab3bedfa1727db0e11cb464da65e4fa5349d97c6a5e516c72516c21c montage-chameleon-2mass-01d-001.json
        84cf2cd5da23c0288aac225bbc28cb0fec9ca5376352eda33bd2e1d7b287c84e montage-chameleon-2mass-02d-001.json
        8b9f7a4b67d5622066b17e33eb5b687ad2e74a5cc5693a239a3036fe1118372c montage-chameleon-2mass-03d-001.json
        99fea6c3f7dba97b5dc5672da25a897e838b4f10f90bd281331412c3a8b564ed montage-chameleon-2mass-04d-001.json
        91c6f58feea7a62f7b40a19c8e851ceb09ce57e2ccc8fb48697b60877ddb208b montage-chameleon-dss-05d-001.json
        dabf559ac31dac633122ab2f7908c21b1b5beca644423fbdb37a012a15f001e2 montage-chameleon-dss-15d-001.json
        """,
    ),
    *_listed(
        "pegasus/seismology/",
        """
        99c0426009e1e2a0316c53da45ce9247ffaeee7d2e0fad6b4de96e796b5aaad4 seismology-chameleon-100p-001.json
        d87ec8445a3bfba95df2dfd68680d60484bd7d34b0b645585c26474ea814f7ae seismology-chameleon-1100p-001.json
        92bceaaa97e4b30728dbb4b2580dbbcf0b2cdf106d3cab7e5fd84c526ff6d22a seismology-chameleon-300p-001.json
        272024684c0cf560359b3e726fd9ea593323f77971fe74801f2dd0c70024f498 seismology-chameleon-600p-001.json
        18592187a0e619d907e02acb964f9733f67a98af8adc1777c6d945c6dd9da684 seismology-chameleon-900p-001.json
        """,
    ),
    *_listed(
        "pegasus/srasearch/",
        """
        c2b5d73841750b5af68e5ff65f5f2d04b51a4b6b18086e7a5b1dfb72317fd4b6 srasearch-chameleon-10a-001.json
        9446b7de9c1505db889b9ed2a580badabf9c73db6c7232c4b7b76a0e8f691b61 srasearch-chameleon-20a-005.json
        857ddbf17662026eb6b03fee6cde914666f39872843f15ca20f1f689b89c5aee srasearch-chameleon-40a-003.json
        2025a3a5d2042809d3e7026e17fc962179160d759a9b638c2642769bdfb1e50d srasearch-chameleon-50a-005.json
        """,
    ),
)

TPCH = (
    *_listed(
        "json/",
        """
        c1f71ea51bd9b1ba7c8d787d0f6aa81a5402dc88062aea8a261d5169f27be540 tpch_100g.json
        4b202921d9d0a0dfb6daa70bff47d88fa8d5bda1f82f01b324c9c75e35fca52e tpch_10g.json
        da913a8f17409e08f1e2b8474cccd0d77c62913dcc4de23ba92c3a36625df94e tpch_2g.json
        c3365ed9625e0074bf293b37b9b73b7671b31e7c36546f2092fdf55397a06a33 tpch_50g.json
        """,
    ),
)

ALIBABA2018 = (
    *_listed(
        "",
        """
        ccde1e75497643179ec0d99e63cefe5f8cb6ff5b904940fef4cf7370e7ada541 medium_filtered.jsonl
        """,
    ),
)

SOC = (
    *_listed(
        "config_Jobs/",
        """
        666b17c5647931ca10c876b560dea8b4a8f9b37f1f67d2e00e72b6e2650df347 job_LAG.txt
        64935970aa46d4545159bc1a94898ceb5e64d44ac618910b88e5c1c196de9723 job_SCR.txt
        e85727c49a3cbe0645aa1c5134a180714d9397dd739d9acad0b6f3bb497baffd job_SCT.txt
        2e5caaa718ad0ec32b1e52df3efaef15adef27d8c0ceeee550bd6cce16b35301 job_TEMP_MIT.txt
        371db544c6813e8ba54e48b96cb03d274d4559b64abc8834718310100cfe1648 job_Top.txt
        95a986a280869ac9f80170e15de175bdc3abf91e8a47ad000a73b82aff9973f8 job_WIFI_5RXM.txt
        593e6129a3ea194ec9c4c9570ec67b7e40469216a44a01b3217b4c1a8e55777f job_WIFI_5TXM.txt
        """,
    ),
    *_listed(
        "config_SoC/",
        """
        e6f0e4c70fb8fcc04a8890553f8631605ad76df9ec7971ae6048517e891a41f4 SoC.BAL_only.txt
        9ca6dc28c3a7d9ff76b72c729a6992e645fe9acbb83cf16eda895a96289543ca SoC.MULTIPLE_BAL.txt
        dfa6d82283af7ed9febf3525e7c1f8992885753f21b158225fb77b71dcd7ddac SoC.MULTIPLE_BAL_NoC.txt
        3d3571f5e31288d6e1d373e0306f2d02bd374d4cacc3f5377a438895dcadcc23 SoC.Top.txt
        """,
    ),
    *_listed(
        "socrates/",
        """
        6f1e9541c4fda7280d75b4c7b34937a4708f0148e7534915a8b338c21749ddd8 DASH.SoC.Top.txt
        a2b149ce31225809e5bfce78d9f67b51f9aa526ee1072a7c9e4a0ed101a58ab8 job_Top.txt
        5ccd15e8af039fa0f290ea89967a619c7b952077d7e9108f4b8c2db1bdf9b9e2 job_Top10.txt
        ef4b853b53fd7753b0eb9fcb75f39217de6dfe6ba653900cc0f0b3ddb54873a0 job_Top2.txt
        debd7d4dc4c2222925d0d5525765e8264f0e6766d6d77cf9bb81b4c65bf125f5 job_Top3.txt
        f70f233bac32c2b4545e06d7851f18b974a28658d7140eface92a991498b6e45 job_Top4.txt
        e7c8aee9b405d05d8656ba2586b524b294fd6a449ec2603224a98ffdedb93d15 job_Top5.txt
        e51c3237d979c10449b861015bc862bfa17486a9d3fa8093fbe80336f1f5a6e2 job_Top6.txt
        15c731dbf18d3ff5794d6c22f9b1cc3180aa2d641b2f67bbdb2a1500fa94cdf9 job_Top7.txt
        404411239aa6ff94f9077fc1321fa880051207b8eda941041f79971b4dd15c87 job_Top8.txt
        140d4a70457c89fecad95b0060da67cab528d1cc351ecb930f4fcc4f1837d6e3 job_Top9.txt
        """,
        SOCRATES_URL,
    ),
)
