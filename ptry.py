import sys, orjson
from streams.bench.foreign import generate
from streams.adoption.inference import propose
from streams.adoption.proposal import to_toml, to_mapping
from streams.adoption.applying import *
from collections import Counter
for shape in sys.argv[1:]:
    if shape=="rr":
        import pyarrow.parquet as pq
        recs=[{k:(v.isoformat() if hasattr(v,'isoformat') else (v.total_seconds() if hasattr(v,'total_seconds') else v)) for k,v in r.items()} for r in pq.read_table('/work/shared/data/retailrocket_sample/events_sample.parquet').to_pylist()]
    else: recs=[orjson.loads(v) for _,v in generate(shape,5000,1)]
    p=propose(shape,recs)
    toml=to_toml([p]); print(toml)
    m=to_mapping([p])
    c=Counter()
    if m:
        t=TopicRules(m.topics[0])
        for r in recs:
            try:
                e=t.event(orjson.dumps(r),0,0); c[type(e).__name__]+=1
            except UnmappableError as x: c[str(x)]+=1
    print(c)
